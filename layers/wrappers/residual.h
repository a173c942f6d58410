#pragma once

#include <unroll/autograd/ops/loss.h>
#include <unroll/layers/recurrent.h>

namespace unroll::inline UNROLL_ISA {

namespace detail {

/// x with its padding replaced by zeros, through which no gradient flows.
template <Real T>
Var<T> valid_only(Var<T> x, std::span<const Index> lengths) {
  if (lengths.empty()) return x;
  const Index time = x.shape()[0], batch = x.shape()[1];
  return where(reshape(length_mask(x.tape(), lengths, time), {time, batch, 1}), x, 0);
}

/// What layers around a sequence layer share. `Self` has around(x, y, lengths): the outputs, from inputs and outputs of
/// the layer inside.
template <class Self, class L>
struct LayerWrapper {
  using T = typename L::scalar;
  using scalar = T;
  using State = typename L::State;

  L layer;

  State initial(Tape<T>& tape, Index batch) const { return layer.initial(tape, batch); }
  Unrolled<T, State> operator()(Var<T> xs, std::span<const Index> lengths = {}) const {
    return finish(xs, layer(xs, lengths), lengths);
  }
  Unrolled<T, State> operator()(Var<T> xs, const State& state, std::span<const Index> lengths = {}) const {
    return finish(xs, layer(xs, state, lengths), lengths);
  }
  Index width() const { return layer.width(); }
  static void fields(auto& m, auto&& f) { f("layer", m.layer); }

 private:
  Unrolled<T, State> finish(Var<T> xs, const Unrolled<T, State>& inner, std::span<const Index> lengths) const {
    return {static_cast<const Self&>(*this).around(xs, inner.outputs, lengths), inner.last, inner.steps};
  }
};

}  // namespace detail

/// A sequence layer with its inputs added to its outputs (He et al. 2016; Wu et al. 2016, eq. 6). Where there are not
/// as many features in as out, the inputs pass through a matrix.
template <class L>
struct Residual : detail::LayerWrapper<Residual<L>, L> {
  using T = typename L::scalar;

  std::optional<Matrix<T>> shortcut;

  Residual(L layer, Index in, Rng& rng) : detail::LayerWrapper<Residual, L>{std::move(layer)} {
    if (const Index out = this->layer.width(); in != out) shortcut.emplace(in, out, rng);
  }
  /// Around L(in, width, rng, more...).
  template <class... More>
  Residual(Index in, Index width, Rng& rng, More... more) : Residual(L(in, width, rng, more...), in, rng) {}

  Var<T> around(Var<T> xs, Var<T> outputs, std::span<const Index> lengths) const {
    const Var<T> x = detail::valid_only(xs, lengths);
    return outputs + (shortcut ? (*shortcut)(x) : x);
  }
  static void fields(auto& m, auto&& f) { f("layer", m.layer), f("shortcut", m.shortcut); }
};

/// A sequence layer with a highway past it (Srivastava, Greff and Schmidhuber 2015, eq. 3):
///   y = sigmoid(x Wt + bt) layer(x) + (1 - sigmoid(x Wt + bt)) x, with bt = -1 at first
/// Where there are not as many features in as out, the last x passes through a matrix.
template <class L>
struct Highway : detail::LayerWrapper<Highway<L>, L> {
  using T = typename L::scalar;

  Linear<T> transform;
  std::optional<Matrix<T>> carry;

  Highway(L layer, Index in, Rng& rng)
      : detail::LayerWrapper<Highway, L>{std::move(layer)}, transform(in, this->layer.width(), rng) {
    transform.bias.edit().fill(T(-1));
    if (const Index out = this->layer.width(); in != out) carry.emplace(in, out, rng);
  }
  /// Around L(in, width, rng, more...).
  template <class... More>
  Highway(Index in, Index width, Rng& rng, More... more) : Highway(L(in, width, rng, more...), in, rng) {}

  Var<T> around(Var<T> xs, Var<T> outputs, std::span<const Index> lengths) const {
    const Var<T> x = detail::valid_only(xs, lengths);
    return detail::valid_only(Var<T>(lerp(carry ? (*carry)(x) : x, outputs, sigmoid(transform(x), "transform"))),
                              lengths);
  }
  static void fields(auto& m, auto&& f) { f("layer", m.layer), f("transform", m.transform), f("carry", m.carry); }
};

}  // namespace unroll::inline UNROLL_ISA
