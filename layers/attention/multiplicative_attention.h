#pragma once

#include <unroll/layers/attention/attention.h>
#include <unroll/layers/place.h>

namespace unroll::inline UNROLL_ISA {

/// Multiplicative attention (Luong, Pham and Manning 2015, eq. 8): the score of source step h for a query s is
///   general  s . (h W)
///   dot      s . h, of one width
/// and the rest is as in AdditiveAttention, which is their `concat`.
template <Real T = float>
struct MultiplicativeAttention {
  using scalar = T;
  Index source_width;
  std::optional<Matrix<T>> key;  // [source, query] of `general`

  /// `general`.
  MultiplicativeAttention(Index query_width, Index source_width, Rng& rng)
      : source_width(source_width), key(init::xavier<T>({source_width, query_width}, rng)) {}
  /// `dot`: without parameters.
  explicit MultiplicativeAttention(Index width) : source_width(width) {}

  /// source [time, batch, width]. Throws ShapeError when the lengths do not fit it, and ValueError for a row of none.
  AttentionMemory<T> remember(Var<T> source, std::span<const Index> lengths = {}) const {
    const detail::PlaceGuard<T> place(source.tape(), detail::place_of_layer(*this));
    const auto each = detail::source_lengths(source, lengths, width());
    const Var<T> values = detail::batch_major(source, each);
    return {key ? (*key)(values) : values, values, each};
  }
  Attended<T> operator()(const AttentionMemory<T>& memory, Var<T> query, Var<T> = {}) const {
    const detail::PlaceGuard<T> place(query.tape(), detail::place_of_layer(*this));
    detail::check_query(memory, query, key ? key->weight.shape()[1] : source_width);
    return detail::attend(memory, dot_scores(memory.keys, query, memory.lengths));
  }
  Shape weights_shape(const AttentionMemory<T>& memory) const { return {memory.batch(), memory.time()}; }
  Index width() const { return source_width; }
  static void fields(auto& m, auto&& f) { f("key", m.key); }
};
static_assert(Attention<MultiplicativeAttention<double>>);

}  // namespace unroll::inline UNROLL_ISA
