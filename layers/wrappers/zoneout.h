#pragma once

#include <unroll/autograd/ops/noise.h>
#include <unroll/layers/wrappers/cell_wrapper.h>

namespace unroll::inline UNROLL_ISA {

/// Zoneout (Krueger et al. 2017, eqs. 3-5): each unit of each array that the cell remembers by keeps its old value with
/// probability `rate`; on an inference tape it moves by the expected share.
template <class C>
struct Zoneout : CellWrapper<Zoneout<C>, C> {
  using State = typename C::State;
  using T = cell_scalar_t<C>;

  double rate;

  Zoneout(C cell, double rate) : CellWrapper<Zoneout, C>{std::move(cell)}, rate(rate) {
    require<ValueError>(rate >= 0 && rate < 1, "zoneout: the rate {} is not in 0 <= rate < 1", rate);
  }
  template <class S>
  State next(const S& inner, Var<T> x, const State& before, Index t) const {
    Tape<T>& tape = x.tape();
    return combine_memories(before, detail::advance(inner, x, before, t), [&](Var<T> old, Var<T> moved) {
      if (!tape.training()) return Var<T>(moved + rate * (old - moved));
      return Var<T>(where(dropout(tape.filled(moved.shape(), 1), rate), moved, old));
    });
  }
};

}  // namespace unroll::inline UNROLL_ISA
