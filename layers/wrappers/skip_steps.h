#pragma once

#include <unroll/layers/wrappers/cell_wrapper.h>

namespace unroll::inline UNROLL_ISA {

/// A cell that leaves out the steps a mask excludes: the state, and with it the output, stays as it was. The mask is
/// the last feature of the inputs, 0 for a step to be skipped; see with_mask().
template <class C>
struct SkipSteps : CellWrapper<SkipSteps<C>, C> {
  using State = typename C::State;
  using T = cell_scalar_t<C>;

  explicit SkipSteps(C cell) : CellWrapper<SkipSteps, C>{std::move(cell)} {}

  Var<T> project(Var<T> xs) const {
    const Index features = xs.shape().cols() - 1;
    return concat(this->cell.project(slice(xs, -1, 0, features)), slice(xs, -1, features, features + 1));
  }
  template <class S>
  State next(const S& inner, Var<T> x, const State& before, Index t) const {
    const Index features = x.shape().cols() - 1;
    const Var<T> mask = slice(x, -1, features, features + 1);
    const State moved = detail::advance(inner, slice(x, -1, 0, features), before, t);
    int k = 0;
    return map_vars(moved, [&](Var<T> v) { return Var<T>(where(mask, v, nth_var<T>(before, k++))); });
  }
};

/// A sequence [time, batch, in] with a mask of its steps, [time, batch], as last feature.
template <Operand X, Operand M>
auto with_mask(const X& xs, const M& mask) {
  const auto [x, m] = on_one_tape(xs, mask);
  return concat(x, reshape(m, m.shape().inserted(m.shape().rank(), 1)));
}

}  // namespace unroll::inline UNROLL_ISA
