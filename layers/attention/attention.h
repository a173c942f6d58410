#pragma once

#include <unroll/autograd/ops/attention_scores.h>
#include <unroll/layers/linear.h>

namespace unroll::inline UNROLL_ISA {

/// A source as an attention reads it at each step: row by row, keys projected once. What lies behind the end of a row
/// is zero, and nobody reads it.
template <Real T = float>
struct AttentionMemory {
  Var<T> keys;                     // [batch, time, units], or of several heads [batch, heads, time, units]
  Var<T> values;                   // [batch, time, width], or as the keys
  std::span<const Index> lengths;  // [batch] valid steps of each row

  Index batch() const { return static_cast<Index>(lengths.size()); }
  Index time() const { return keys.shape()[-2]; }
  /// The first `rows` rows, without a copy.
  AttentionMemory first(Index rows) const;
  /// Row rows[i] as row i: for a beam, whose hypotheses share a source.
  AttentionMemory select(std::span<const Index> rows) const;
  static void fields(auto& m, auto&& f) { f("keys", m.keys), f("values", m.values); }
};

/// Each row of a memory `count` times, one after the other: one for each beam. Throws ValueError unless count > 0.
template <Real T>
AttentionMemory<T> repeat_rows(const AttentionMemory<T>& memory, Index count);

/// What an attention makes of a query: the weighted mean of the values [batch, width], and the weights
/// [batch, (heads,) source time], which are zero behind the end of a row.
template <Real T = float>
struct Attended {
  Var<T> context, weights;
};

/// What a decoder looks at its source with. An attention has
/// - `remember(source, lengths)`: the memory of a source [time, batch, width]; made once per sequence;
/// - `operator()(memory, query, previous)`: what it attends to for a query [batch, width], having attended with the
///   weights `previous` one step before; an attention that does not look at these takes them all the same;
/// - `weights_shape(memory)`: the shape of its weights;
/// - `width()`: that of the context; and `fields`.
template <class A>
concept Attention =
    HasFields<const A> && requires(const A& attention, Var<typename A::scalar> x, std::span<const Index> lengths,
                                   const AttentionMemory<typename A::scalar>& memory) {
      { attention.remember(x, lengths) } -> std::same_as<AttentionMemory<typename A::scalar>>;
      { attention(memory, x, x) } -> std::same_as<Attended<typename A::scalar>>;
      { attention.weights_shape(memory) } -> std::same_as<Shape>;
      { attention.width() } -> std::same_as<Index>;
    };

/// Row rows[i] of x [batch, ...] as row i.
template <Real T>
Var<T> select_rows(Var<T> x, std::span<const Index> rows);

namespace detail {

/// A sequence [time, batch, width] as [batch, time, width], with zeros behind the end of each row, which is not read.
template <Real T>
Var<T> batch_major(Var<T> sequence, std::span<const Index> lengths);
/// And back.
template <Real T>
Var<T> time_major(Var<T> rows, std::span<const Index> lengths);
/// The lengths of the rows of a source, checked: each has a step to attend to.
template <Real T>
std::span<const Index> source_lengths(Var<T> source, std::span<const Index> lengths, Index width);
/// Throws unless `query` is [batch, width] with a row for each one of the memory.
template <Real T>
void check_query(const AttentionMemory<T>& memory, Var<T> query, Index width);
/// The weights and the context that the scores mean.
template <Real T>
Attended<T> attend(const AttentionMemory<T>& memory, Var<T> scores);

}  // namespace detail
}  // namespace unroll::inline UNROLL_ISA
