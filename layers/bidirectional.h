#pragma once

#include <unroll/layers/recurrent.h>

namespace unroll::inline UNROLL_ISA {

/// The states of both directions.
template <class S>
struct BothStates {
  S forward, backward;
  static void fields(auto& s, auto&& f) { f("forward", s.forward), f("backward", s.backward); }
};

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

/// A sequence layer that reads the sequence in both directions (Schuster and Paliwal 1997), and puts the outputs side
/// by side: [time, batch, 2 width]. The backward direction starts at each row's last valid step.
template <class L>
struct Bidirectional {
  using T = typename L::scalar;
  using scalar = T;
  using State = BothStates<typename L::State>;

  L forward, backward;

  template <class... Args>
    requires std::constructible_from<L, Args&...>
  Bidirectional(Args&&... args) : forward(args...), backward(args...) {}
  Bidirectional(L forward, L backward) : forward(std::move(forward)), backward(std::move(backward)) {}

  State initial(Tape<T>& tape, Index batch) const {
    return {forward.initial(tape, batch), backward.initial(tape, batch)};
  }

  Unrolled<T, State> operator()(Var<T> xs, std::span<const Index> lengths = {}) const {
    return merge(forward(xs, lengths), backwards(backward, lengths, xs));
  }
  Unrolled<T, State> operator()(Var<T> xs, const State& state, std::span<const Index> lengths = {}) const {
    return merge(forward(xs, state.forward, lengths), backwards(backward, lengths, xs, state.backward));
  }
  Index width() const { return forward.width() + backward.width(); }
  static void fields(auto& m, auto&& f) { f("forward", m.forward), f("backward", m.backward); }

 private:
  template <class U>
  static Unrolled<T, State> merge(const U& ahead, const U& back) {
    return {concat(ahead.outputs, back.outputs), State{ahead.last, back.last}};
  }
};

}  // namespace unroll::inline UNROLL_ISA
