#pragma once

#include <unroll/layers/recurrent.h>

namespace unroll::inline UNROLL_ISA {

/// Runs a sequence layer on what it puts out itself: the first input is `first` [batch, in], and that after step t is
/// next(y, t), made of the outputs y [batch, width] of step t. Teacher forcing is the layer called with the right
/// answers as inputs; a `next` that sometimes returns them is scheduled sampling (Bengio et al. 2015).
template <class L, class F>
auto free_run(const L& layer, Var<typename L::scalar> first, const typename L::State& start, Index steps, F next) {
  using T = typename L::scalar;
  Tape<T>& tape = first.tape();
  tape.template require<ValueError>(steps > 0, "free_run: {} steps", steps);
  const auto outputs = tape.template room<Var<T>>(steps);
  auto state = start;
  Var<T> x = first;
  for (Index t = 0; t < steps; ++t) {
    const auto one = layer(reshape(x, x.shape().inserted(0, 1)), state);
    state = one.last;
    const Var<T> y = one.outputs[0];
    outputs[static_cast<std::size_t>(t)] = y;
    if (t + 1 < steps) x = Var<T>(next(y, t));
  }
  return Unrolled<T, typename L::State>{stack(std::span<const Var<T>>(outputs)), state};
}

}  // namespace unroll::inline UNROLL_ISA
