#pragma once

#include <unroll/layers/attention/attention.h>
#include <unroll/layers/place.h>

namespace unroll::inline UNROLL_ISA {

/// Additive attention (Bahdanau, Cho and Bengio 2015, appendix A.1.2): the score of source step h for a query s is
///   v . tanh(s W + h U),
/// the weights are a softmax of the scores over the valid steps, and the context is the mean of the source under them.
/// It is also the `concat` of Luong, Pham and Manning 2015, eq. 8, whose matrix is W above U.
template <Real T = float>
struct AdditiveAttention {
  using scalar = T;
  Matrix<T> query;     // [query, units]
  Matrix<T> key;       // [source, units]
  Parameter<T> score;  // [units]

  AdditiveAttention(Index query_width, Index source_width, Index units, Rng& rng)
      : query(init::xavier<T>({query_width, units}, rng)),
        key(init::xavier<T>({source_width, units}, rng)),
        score(init::uniform<T>({units}, 1 / std::sqrt(static_cast<double>(std::max<Index>(1, units))), rng)) {}

  /// source [time, batch, width]. Throws ShapeError when the lengths do not fit it, and ValueError for a row of none.
  AttentionMemory<T> remember(Var<T> source, std::span<const Index> lengths = {}) const {
    const detail::PlaceGuard<T> place(source.tape(), detail::place_of_layer(*this));
    const auto each = detail::source_lengths(source, lengths, width());
    const Var<T> values = detail::batch_major(source, each);
    return {key(values), values, each};
  }
  Attended<T> operator()(const AttentionMemory<T>& memory, Var<T> q, Var<T> = {}) const {
    const detail::PlaceGuard<T> place(q.tape(), detail::place_of_layer(*this));
    detail::check_query(memory, q, query.weight.shape()[0]);
    return detail::attend(memory, additive_scores(memory.keys, query(q), score, memory.lengths));
  }
  Shape weights_shape(const AttentionMemory<T>& memory) const { return {memory.batch(), memory.time()}; }
  Index width() const { return key.weight.shape()[0]; }
  static void fields(auto& m, auto&& f) { f("query", m.query), f("key", m.key), f("score", m.score); }
};
static_assert(Attention<AdditiveAttention<double>>);

}  // namespace unroll::inline UNROLL_ISA
