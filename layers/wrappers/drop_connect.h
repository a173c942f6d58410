#pragma once

#include <unroll/autograd/ops/noise.h>
#include <unroll/layers/model.h>
#include <unroll/layers/wrappers/cell_wrapper.h>

namespace unroll::inline UNROLL_ISA {

/// DropConnect on the recurrent weights (Wan et al. 2013; Merity, Keskar and Socher 2018): every matrix that `step`
/// uses is thinned once per sequence, with the same mask at each step and for each row. A cell that is stepped by
/// itself draws a mask per step.
template <class C>
struct DropConnect : CellWrapper<DropConnect<C>, C> {
  using State = typename C::State;
  using T = cell_scalar_t<C>;

  double rate;

  DropConnect(C cell, double rate) : CellWrapper<DropConnect, C>{std::move(cell)}, rate(rate) {
    require<ValueError>(rate >= 0 && rate < 1, "drop_connect: the rate {} is not in 0 <= rate < 1", rate);
  }
  auto prepare(Tape<T>& tape) const {
    // Numbers are set aside for all matrices now, so that what else draws does not depend on which of them are used.
    std::vector<const Parameter<T>*> matrices;
    std::uint64_t count = 0;
    for_each_parameter(this->cell, [&](const std::string&, const Parameter<T>& p) {
      if (p.shape().rank() < 2) return;
      matrices.push_back(&p);
      count += static_cast<std::uint64_t>(p.shape().size());
    });
    Rng own(tape.rng().seed(), tape.rng().advance(count));
    using Inner = decltype(detail::prepared(this->cell, tape));
    return Prepared<Inner>{
        detail::prepared(this->cell, tape),
        {tape, std::move(matrices), [rate = rate, own](Var<T> weight) mutable { return dropout(weight, rate, own); }}};
  }

 private:
  template <class Inner>
  struct Prepared {
    Inner inner;
    typename Tape<T>::Substitution thinned;
    State step(Var<T> x, const State& state, Index t) const { return detail::advance(inner, x, state, t); }
  };
};

}  // namespace unroll::inline UNROLL_ISA
