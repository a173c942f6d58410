#pragma once

#include <unroll/layers/wrappers/cell_wrapper.h>

namespace unroll::inline UNROLL_ISA {

/// Any cell with an initial state that is learned: a vector for each array of its state, at first what the cell starts
/// from.
template <class C>
struct LearnedInitial : CellWrapper<LearnedInitial<C>, C> {
  using State = typename C::State;
  using T = cell_scalar_t<C>;

  std::vector<Parameter<T>> start;

  explicit LearnedInitial(C cell) : CellWrapper<LearnedInitial, C>{std::move(cell)} {
    Tape<T> tape = Tape<T>::inference();
    const State own = this->cell.initial(tape, 1);
    for_each_var(own, [&](const Var<T>& v) {
      Tensor<T> value = make_tensor<T>(v.shape().without(0));
      std::copy_n(values(v).data, value.size(), value.data());
      start.emplace_back(std::move(value));
    });
  }
  template <class... Args>
    requires std::constructible_from<C, Args...>
  explicit LearnedInitial(Args&&... args) : LearnedInitial(C(std::forward<Args>(args)...)) {}

  State initial(Tape<T>& tape, Index batch) const {
    std::size_t k = 0;
    return map_vars(this->cell.initial(tape, batch),
                    [&](Var<T> v) { return broadcast_to(tape.use(start[k++]), v.shape()); });
  }
  template <class S>
  State next(const S& inner, Var<T> x, const State& state, Index t) const {
    return detail::advance(inner, x, state, t);
  }
  static void fields(auto& m, auto&& f) { f("cell", m.cell), f("start", m.start); }
};

}  // namespace unroll::inline UNROLL_ISA
