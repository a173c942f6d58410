#pragma once

#include <unroll/layers/linear.h>

namespace unroll::inline UNROLL_ISA {

/// What an attention decoder puts out for its hidden state h, its context c and its input x.
enum class ReadoutKind : std::uint8_t {
  none,    // [h; c] side by side, for a head of its own
  tanh,    // tanh([h; c] W + b): Luong, Pham and Manning 2015, eq. 5
  maxout,  // the larger of each pair of columns of [h; c; x] W + b: Bahdanau, Cho and Bengio 2015, appendix A.2.2
};

/// It does not feed the recurrence, so that a sequence's readouts are one product.
template <Real T = float>
struct Readout {
  ReadoutKind kind;
  std::optional<Linear<T>> linear;

  /// `state` is the width of [h; c], `in` that of x, `out` that of the result where the kind has a choice.
  Readout(ReadoutKind kind, Index state, Index in, Index out, Rng& rng) : kind(kind) {
    if (kind == ReadoutKind::tanh) linear.emplace(state, out, rng);
    if (kind == ReadoutKind::maxout) linear.emplace(state + in, 2 * out, rng);
  }

  /// state [..., h + c] and x [..., in] to [..., out].
  Var<T> operator()(Var<T> state, Var<T> x) const {
    if (kind == ReadoutKind::none) return state;
    if (kind == ReadoutKind::tanh) return tanh((*linear)(state));
    const Var<T> y = (*linear)(concat(state, x));
    const Index out = y.shape().cols() / 2;
    return max(reshape(y, y.shape().with(-1, out).inserted(-1, 2)), -1);
  }
  /// Width of the result.
  Index width(Index state) const {
    if (!linear) return state;
    return kind == ReadoutKind::maxout ? linear->bias.shape()[0] / 2 : linear->bias.shape()[0];
  }
  static void fields(auto& m, auto&& f) { f("linear", m.linear); }
};

}  // namespace unroll::inline UNROLL_ISA
