#include <unroll/layers/attention/multi_head_attention.h>

#include <unroll/layers/place.h>

namespace unroll::inline UNROLL_ISA {
namespace {

template <Real T>
Linear<T> projection(Index in, Index out, Rng& rng) {
  return {init::xavier<T>({in, out}, rng), make_tensor<T>({out}, T(0))};
}

Index checked_width(Index width, Index heads) {
  require<ValueError>(heads > 0 && width > 0 && width % heads == 0,
                      "multi-head attention: a width of {} does not part into {} heads", width, heads);
  return width;
}

/// 1 where query step t may look at source step s, else 0: [batch, 1, queries, source], or [batch, 1, 1, source].
template <Real T>
Var<T> visible(Tape<T>& tape, std::span<const Index> lengths, Index queries, Index time, bool causal) {
  const auto batch = static_cast<Index>(lengths.size());
  const Index rows = causal ? queries : 1;
  const std::span<T> mask = tape.template room<T>(batch * rows * time);
  std::size_t at = 0;
  for (const Index n : lengths)
    for (Index t = 0; t < rows; ++t)
      for (Index s = 0; s < time; ++s) mask[at++] = s < n && (!causal || s <= t) ? T(1) : T(0);
  return tape.constant(Shape{batch, 1, rows, time}, mask);
}

}  // namespace

template <Real T>
MultiHeadAttention<T>::MultiHeadAttention(Index query_width, Index source_width, Index width, Index heads, Rng& rng)
    : heads(heads),
      query(projection<T>(query_width, checked_width(width, heads), rng)),
      key(projection<T>(source_width, width, rng)),
      value(projection<T>(source_width, width, rng)),
      output(projection<T>(width, width, rng)) {}

template <Real T>
Var<T> MultiHeadAttention<T>::in_heads(Var<T> x) const {
  const Shape shape = x.shape();
  return transpose(reshape(x, {shape[0], shape[1], heads, shape[2] / heads}), 1, 2);
}

template <Real T>
AttentionMemory<T> MultiHeadAttention<T>::remember(Var<T> source, std::span<const Index> lengths) const {
  const detail::PlaceGuard<T> place(source.tape(), detail::place_of_layer(*this));
  const auto each = detail::source_lengths(source, lengths, key.weight.shape()[0]);
  const Var<T> rows = detail::batch_major(source, each);
  return {in_heads(key(rows)), in_heads(value(rows)), each};
}

template <Real T>
Attended<T> MultiHeadAttention<T>::operator()(const AttentionMemory<T>& memory, Var<T> q, Var<T>) const {
  Tape<T>& tape = q.tape();
  const detail::PlaceGuard<T> place(tape, detail::place_of_layer(*this));
  detail::check_query(memory, q, query.weight.shape()[0]);
  const Index batch = memory.batch(), all = batch * heads, d = width() / heads, time = memory.time();
  const auto lengths = tape.template room<Index>(all);
  for (Index i = 0; i < all; ++i)
    lengths[static_cast<std::size_t>(i)] = memory.lengths[static_cast<std::size_t>(i / heads)];
  const Var<T> scaled = query(q) * (1 / std::sqrt(static_cast<double>(d)));
  const Var<T> scores = dot_scores(reshape(memory.keys, {all, time, d}), reshape(scaled, {all, d}), lengths);
  const Attended<T> attended =
      detail::attend<T>({memory.keys, reshape(memory.values, {all, time, d}), lengths}, scores);
  return {output(reshape(attended.context, {batch, width()})), reshape(attended.weights, {batch, heads, time})};
}

template <Real T>
Attended<T> MultiHeadAttention<T>::all(const AttentionMemory<T>& memory, Var<T> queries, const Queries& how) const {
  Tape<T>& tape = queries.tape();
  const detail::PlaceGuard<T> place(tape, detail::place_of_layer(*this));
  const Shape shape = tape.checked(queries, "attention").shape;
  const Index batch = memory.batch(), in = query.weight.shape()[0];
  tape.template require<ShapeError>(shape.rank() == 3 && shape[1] == batch && shape[2] == in,
                                    "attention: queries [time, {}, {}] are needed for a memory of {} rows, not {}",
                                    batch, in, batch, shape);
  tape.template require<ShapeError>(how.lengths.empty() || static_cast<Index>(how.lengths.size()) == batch,
                                    "attention: {} lengths for the queries {}", how.lengths.size(), shape);
  for (std::size_t b = 0; b < how.lengths.size(); ++b)
    tape.template require<ShapeError>(how.lengths[b] >= 0 && how.lengths[b] <= shape[0],
                                      "attention: length {} of row {} in the queries {}", how.lengths[b], b, shape);
  const Index steps = shape[0], time = memory.time(), every = batch * heads, d = width() / heads;
  const Var<T> q = in_heads(query(detail::batch_major(queries, how.lengths)));
  const Var<T> products =
      batched_matmul(reshape(q, {every, steps, d}), reshape(memory.keys, {every, time, d}), {.b = true});
  const Var<T> scores = where(visible(tape, memory.lengths, steps, time, how.causal),
                              reshape(products, {batch, heads, steps, time}) * (1 / std::sqrt(static_cast<double>(d))),
                              -std::numeric_limits<T>::infinity());
  const Var<T> weights = softmax(scores, -1);
  const Var<T> contexts =
      batched_matmul(reshape(weights, {every, steps, time}), reshape(memory.values, {every, time, d}));
  const Var<T> joined = reshape(transpose(reshape(contexts, {batch, heads, steps, d}), 1, 2), {batch, steps, width()});
  return {detail::time_major(output(joined), how.lengths), weights};
}

template struct MultiHeadAttention<float>;
template struct MultiHeadAttention<double>;

}  // namespace unroll::inline UNROLL_ISA
