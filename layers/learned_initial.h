#pragma once

#include <unroll/layers/cell.h>

namespace unroll::inline UNROLL_ISA {

/// Any cell with an initial state that is learned: a vector for each array of its state, zero at first.
template <class C>
struct LearnedInitial {
  using State = typename C::State;
  using T = cell_scalar_t<C>;

  C cell;
  std::vector<Parameter<T>> start;

  template <class... Args>
    requires std::constructible_from<C, Args...>
  LearnedInitial(Args&&... args) : cell(std::forward<Args>(args)...) {
    Tape<T> tape = Tape<T>::inference();
    const State zero = cell.initial(tape, 1);
    for_each_var(zero, [&](const Var<T>& v) { start.emplace_back(make_tensor<T>(v.shape().without(0), T(0))); });
  }
  State initial(Tape<T>& tape, Index batch) const {
    std::size_t k = 0;
    return map_vars(cell.initial(tape, batch), [&](Var<T> v) { return broadcast_to(tape.use(start[k++]), v.shape()); });
  }
  Var<T> project(Var<T> xs) const { return cell.project(xs); }
  auto prepare(Tape<T>& tape) const
    requires requires(const C& c) { c.prepare(tape); }
  {
    return cell.prepare(tape);
  }
  State step(Var<T> x, const State& state, Index t) const {
    if constexpr (requires { cell.step(x, state, t); })
      return cell.step(x, state, t);
    else
      return cell.step(x, state);
  }
  static void fields(auto& m, auto&& f) { f("cell", m.cell), f("start", m.start); }
};

}  // namespace unroll::inline UNROLL_ISA
