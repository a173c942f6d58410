#pragma once

#include <unroll/layers/attention/attention.h>

namespace unroll::inline UNROLL_ISA {

/// Scaled dot-product attention of several heads side by side (Vaswani et al. 2017, section 3.2): head i attends with
///   softmax(Q_i K_i^T / sqrt(d)) V_i,   Q = query W_q + b_q,   K = source W_k + b_k,   V = source W_v + b_v,
/// where d = width / heads is the width of a head, and the context is all heads through another affine map.
template <Real T = float>
struct MultiHeadAttention {
  using scalar = T;
  Index heads;
  Linear<T> query, key, value;  // [query, width], [source, width], [source, width]; head i has columns i d .. (i + 1) d
  Linear<T> output;             // [width, width]

  /// Throws ValueError if `width` does not part into `heads`.
  MultiHeadAttention(Index query_width, Index source_width, Index width, Index heads, Rng& rng);

  /// How a sequence of queries is read.
  struct Queries {
    std::span<const Index> lengths = {};  // valid steps of each row; the contexts behind them are zero
    bool causal = false;  // query t sees the source up to step t: self-attention of what is being written
  };

  /// source [time, batch, width]. Throws ShapeError when the lengths do not fit it, and ValueError for a row of none.
  AttentionMemory<T> remember(Var<T> source, std::span<const Index> lengths = {}) const;
  /// A query [batch, width]; weights are [batch, heads, source time].
  Attended<T> operator()(const AttentionMemory<T>& memory, Var<T> query, Var<T> = {}) const;
  /// Queries [time, batch, width] all at once: contexts [time, batch, width], weights [batch, heads, time, source
  /// time].
  Attended<T> all(const AttentionMemory<T>& memory, Var<T> queries, const Queries& how = {}) const;
  /// Self-attention: a sequence [time, batch, width] that attends to itself.
  Attended<T> self(Var<T> xs, const Queries& how = {}) const { return all(remember(xs, how.lengths), xs, how); }

  Shape weights_shape(const AttentionMemory<T>& memory) const { return {memory.batch(), heads, memory.time()}; }
  Index width() const { return output.weight.shape()[1]; }
  static void fields(auto& m, auto&& f) {
    f("query", m.query), f("key", m.key), f("value", m.value), f("output", m.output);
  }

 private:
  Var<T> in_heads(Var<T> x) const;  // [batch, time, width] to [batch, heads, time, d]
};
static_assert(Attention<MultiHeadAttention<double>>);

}  // namespace unroll::inline UNROLL_ISA
