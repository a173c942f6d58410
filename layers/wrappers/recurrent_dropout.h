#pragma once

#include <unroll/autograd/ops/noise.h>
#include <unroll/layers/wrappers/cell_wrapper.h>

namespace unroll::inline UNROLL_ISA {

/// Dropout on the hidden state that a step sees, with a new mask at each step. What else the cell remembers by stays
/// whole: of an LSTM the cell state. What is kept is scaled by 1 / (1 - rate); where the hidden state is the memory, as
/// in a GRU, a state that is carried over grows by that at every step: keep the rate low there.
template <class C>
struct RecurrentDropout : CellWrapper<RecurrentDropout<C>, C> {
  using State = typename C::State;
  using T = cell_scalar_t<C>;

  double rate;

  RecurrentDropout(C cell, double rate) : CellWrapper<RecurrentDropout, C>{std::move(cell)}, rate(rate) {
    require<ValueError>(rate >= 0 && rate < 1, "recurrent dropout: the rate {} is not in 0 <= rate < 1", rate);
  }
  template <class S>
  State next(const S& inner, Var<T> x, const State& before, Index t) const {
    int k = 0;
    const State thinned = map_vars(before, [&](Var<T> v) { return k++ == 0 ? dropout(v, rate) : v; });
    return detail::advance(inner, x, thinned, t);
  }
};

/// The same with one mask for all steps of a sequence (Gal and Ghahramani 2016, section 4). The mask is part of the
/// state: streaming and truncated windows go on with it. For their mask on the inputs see dropout_over_time().
template <class C>
struct VariationalDropout {
  using T = cell_scalar_t<C>;
  struct State {
    typename C::State cell;
    Var<T> mask;
    int memories;
    static void fields(auto& s, auto&& f) { f("cell", s.cell), f("mask", s.mask); }
  };

  C cell;
  double rate;

  VariationalDropout(C cell, double rate) : cell(std::move(cell)), rate(rate) {
    require<ValueError>(rate >= 0 && rate < 1, "variational dropout: the rate {} is not in 0 <= rate < 1", rate);
  }
  State initial(Tape<T>& tape, Index batch) const {
    const typename C::State own = cell.initial(tape, batch);
    int arrays = 0;
    for_each_var(own, [&](const Var<T>&) { ++arrays; });
    return {own, dropout(tape.filled(output_of<T>(own).shape(), 1), rate), std::min(arrays, unroll::memories(own))};
  }
  Var<T> project(Var<T> xs) const { return cell.project(xs); }
  auto prepare(Tape<T>& tape) const {
    using Inner = decltype(detail::prepared(cell, tape));
    return Prepared<Inner>{detail::prepared(cell, tape)};
  }
  static void fields(auto& m, auto&& f) { f("cell", m.cell); }

 private:
  template <class Inner>
  struct Prepared {
    Inner inner;
    State step(Var<T> x, const State& s, Index t) const {
      int k = 0;
      const auto thinned = map_vars(s.cell, [&](Var<T> v) { return k++ == 0 ? Var<T>(v * s.mask) : v; });
      return {detail::advance(inner, x, thinned, t), s.mask, s.memories};
    }
  };
};

/// Dropout of a sequence [time, batch, width] with one mask for all steps.
template <Operand X>
auto dropout_over_time(const X& x, double rate) {
  const auto v = as_var(x);
  using T = typename X::scalar;
  v.tape().template require<ShapeError>(v.shape().rank() == 3, "dropout_over_time: a sequence is needed, not {}",
                                        v.shape());
  if (!v.tape().training() || rate == 0) return v;
  return Var<T>(v * dropout(v.tape().filled(v.shape().with(0, 1), 1), rate));
}

}  // namespace unroll::inline UNROLL_ISA
