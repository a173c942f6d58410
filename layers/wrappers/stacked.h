#pragma once

#include <unroll/autograd/ops/noise.h>
#include <unroll/layers/recurrent.h>

namespace unroll::inline UNROLL_ISA {

/// Sequence layers on top of each other, the outputs of each being the inputs of the next, with dropout between them
/// (Zaremba, Sutskever and Vinyals 2014).
template <class L>
struct Stacked {
  using T = typename L::scalar;
  using scalar = T;
  using State = Few<typename L::State>;

  std::vector<L> layers;
  double dropout_rate = 0;

  /// `count` layers L(in, width, rng, more...), the first from `in` features.
  template <class... More>
  Stacked(Index in, Index width, Index count, Rng& rng, double dropout_rate = 0, More... more)
      : dropout_rate(dropout_rate) {
    require<ValueError>(count > 0, "stacked: {} layers", count);
    layers.reserve(static_cast<std::size_t>(count));
    for (Index i = 0; i < count; ++i) layers.emplace_back(i == 0 ? in : layers.back().width(), width, rng, more...);
  }
  explicit Stacked(std::vector<L> layers, double dropout_rate = 0)
      : layers(std::move(layers)), dropout_rate(dropout_rate) {}

  State initial(Tape<T>& tape, Index batch) const {
    State state;
    for (const L& layer : layers) state.push_back(layer.initial(tape, batch));
    return state;
  }
  Unrolled<T, State> operator()(Var<T> xs, std::span<const Index> lengths = {}) const {
    return run(xs, nullptr, lengths);
  }
  Unrolled<T, State> operator()(Var<T> xs, const State& state, std::span<const Index> lengths = {}) const {
    xs.tape().template require<ShapeError>(state.size() == layers.size(), "stacked: {} states for {} layers",
                                           state.size(), layers.size());
    return run(xs, &state, lengths);
  }
  /// One step of x [batch, in].
  State step(Var<T> x, const State& state) const
    requires requires(const L& layer, const typename L::State& s) { layer.step(x, s); }
  {
    State next;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      if (i > 0) x = dropout(x, dropout_rate);
      next.push_back(layers[i].step(x, state[i]));
      x = output_of<T>(next[i]);
    }
    return next;
  }
  Index width() const { return layers.back().width(); }
  static void fields(auto& m, auto&& f) { f("layers", m.layers); }

 private:
  Unrolled<T, State> run(Var<T> xs, const State* state, std::span<const Index> lengths) const {
    State last;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      if (i > 0) xs = dropout(xs, dropout_rate);
      const auto unrolled = state == nullptr ? layers[i](xs, lengths) : layers[i](xs, (*state)[i], lengths);
      xs = unrolled.outputs;
      last.push_back(unrolled.last);
    }
    return {xs, last};
  }
};

/// What a layer of any kind puts out for its state: the output of a stack is that of its last layer.
template <Real T, class S>
Var<T> top_of(const S& state) {
  if constexpr (requires { state.back(); })
    return output_of<T>(state.back());
  else
    return output_of<T>(state);
}

}  // namespace unroll::inline UNROLL_ISA
