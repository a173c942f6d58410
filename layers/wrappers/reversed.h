#pragma once

#include <unroll/layers/recurrent.h>

namespace unroll::inline UNROLL_ISA {

/// A sequence layer that reads a sequence from each row's last valid step to its first; outputs lie at the steps of
/// their inputs.
template <class L, class... State>
auto backwards(const L& layer, std::span<const Index> lengths, Var<typename L::scalar> xs, const State&... state) {
  if constexpr (requires { layer.backwards(xs, state..., lengths); }) {
    return layer.backwards(xs, state..., lengths);
  } else {
    auto unrolled = layer(reverse_time(xs, lengths), state..., lengths);
    unrolled.outputs = reverse_time(unrolled.outputs, lengths);
    return unrolled;
  }
}

/// The same as a layer.
template <class L>
struct Reversed {
  using T = typename L::scalar;
  using scalar = T;
  using State = typename L::State;

  L layer;

  explicit Reversed(L layer) : layer(std::move(layer)) {}
  template <class... Args>
    requires std::constructible_from<L, Args...>
  explicit Reversed(Args&&... args) : layer(std::forward<Args>(args)...) {}

  State initial(Tape<T>& tape, Index batch) const { return layer.initial(tape, batch); }
  Unrolled<T, State> operator()(Var<T> xs, std::span<const Index> lengths = {}) const {
    return backwards(layer, lengths, xs);
  }
  Unrolled<T, State> operator()(Var<T> xs, const State& state, std::span<const Index> lengths = {}) const {
    return backwards(layer, lengths, xs, state);
  }
  Index width() const { return layer.width(); }
  static void fields(auto& m, auto&& f) { f("layer", m.layer); }
};

}  // namespace unroll::inline UNROLL_ISA
