#pragma once

#include <unroll/layers/layer_norm.h>
#include <unroll/layers/wrappers/residual.h>

namespace unroll::inline UNROLL_ISA {

/// A sequence layer with layer normalisation of its outputs.
template <class L>
struct Normalized : detail::LayerWrapper<Normalized<L>, L> {
  using T = typename L::scalar;

  LayerNorm<T> norm;

  explicit Normalized(L layer) : detail::LayerWrapper<Normalized, L>{std::move(layer)}, norm(this->layer.width()) {}
  /// Around L(in, width, rng, more...).
  template <class... More>
  Normalized(Index in, Index width, Rng& rng, More... more) : Normalized(L(in, width, rng, more...)) {}

  Var<T> around(Var<T>, Var<T> outputs, std::span<const Index> lengths) const {
    return detail::valid_only(norm(outputs), lengths);
  }
  static void fields(auto& m, auto&& f) { f("layer", m.layer), f("norm", m.norm); }
};

}  // namespace unroll::inline UNROLL_ISA
