#pragma once

#include <unroll/layers/wrappers/reversed.h>

namespace unroll::inline UNROLL_ISA {

/// The states of both directions.
template <class S>
struct BothStates {
  S forward, backward;
  static void fields(auto& s, auto&& f) { f("forward", s.forward), f("backward", s.backward); }
};

/// What becomes of the outputs of both directions: side by side, their sum, or their mean.
enum class Merge : std::uint8_t { concat, sum, mean };

/// A sequence layer that reads the sequence in both directions (Schuster and Paliwal 1997). The outputs are merged, by
/// default side by side: [time, batch, 2 width]. The backward direction starts at each row's last valid step.
template <class L>
struct Bidirectional {
  using T = typename L::scalar;
  using scalar = T;
  using State = BothStates<typename L::State>;

  L forward, backward;
  Merge merge = Merge::concat;

  template <class... Args>
    requires std::constructible_from<L, Args&...>
  Bidirectional(Args&&... args) : forward(args...), backward(args...) {}
  Bidirectional(L forward, L backward, Merge merge = Merge::concat)
      : forward(std::move(forward)), backward(std::move(backward)), merge(merge) {}

  State initial(Tape<T>& tape, Index batch) const {
    return {forward.initial(tape, batch), backward.initial(tape, batch)};
  }

  Unrolled<T, State> operator()(Var<T> xs, std::span<const Index> lengths = {}) const {
    return run(xs, nullptr, lengths);
  }
  Unrolled<T, State> operator()(Var<T> xs, const State& state, std::span<const Index> lengths = {}) const {
    return run(xs, &state, lengths);
  }
  Index width() const { return merge == Merge::concat ? forward.width() + backward.width() : forward.width(); }
  static void fields(auto& m, auto&& f) { f("forward", m.forward), f("backward", m.backward); }

 private:
  Unrolled<T, State> run(Var<T> xs, const State* given, std::span<const Index> lengths) const {
    if constexpr (requires { forward.packed(xs, nullptr, lengths, false); }) {
      const auto ahead = forward.packed(xs, given == nullptr ? nullptr : &given->forward, lengths, false);
      const auto back = backward.packed(xs, given == nullptr ? nullptr : &given->backward, lengths, true);
      if (merge == Merge::concat && !ahead.where.empty()) return beside(ahead, back);
      const auto f = ahead.unpacked(), b = back.unpacked();
      return merged(f, b);
    } else {
      const auto ahead = given == nullptr ? forward(xs, lengths) : forward(xs, given->forward, lengths);
      return merged(ahead, given == nullptr ? backwards(backward, lengths, xs)
                                            : backwards(backward, lengths, xs, given->backward));
    }
  }

  /// Packed outputs are put in their places once, for both directions.
  template <class U>
  Unrolled<T, State> beside(const U& ahead, const U& back) const {
    const std::array outputs{ahead.outputs, back.outputs};
    const std::array where{std::span<const Index>(ahead.where), std::span<const Index>(back.where)};
    const Shape shape = ahead.shape.with(2, ahead.shape.cols() + back.shape.cols());
    return {gather_rows(std::span<const Var<T>>(outputs), std::span<const std::span<const Index>>(where), shape),
            {ahead.last, back.last}};
  }
  template <class U>
  Unrolled<T, State> merged(const U& ahead, const U& back) const {
    const Var<T> f = ahead.outputs, b = back.outputs;
    const State last{ahead.last, back.last};
    if (merge == Merge::concat) return {concat(f, b), last};
    f.tape().template require<ShapeError>(f.shape() == b.shape(), "bidirectional: outputs {} and {} cannot be added",
                                          f.shape(), b.shape());
    return {merge == Merge::sum ? Var<T>(f + b) : Var<T>(0.5 * (f + b)), last};
  }
};

}  // namespace unroll::inline UNROLL_ISA
