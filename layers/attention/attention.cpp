#include <unroll/layers/attention/attention.h>

#include <unroll/autograd/ops/reduce.h>

namespace unroll::inline UNROLL_ISA {

template <Real T>
Var<T> select_rows(Var<T> x, std::span<const Index> rows) {
  const Shape shape = x.shape();
  x.tape().template require<ShapeError>(shape.rank() >= 1, "select_rows: {} has no rows", shape);
  const Index batch = shape[0], each = batch == 0 ? 0 : shape.size() / batch, count = static_cast<Index>(rows.size());
  const Var<T> flat = unroll::reshape(x, {batch, each});
  return unroll::reshape(unroll::gather_rows(flat, rows, {count, each}), shape.with(0, count));
}

template <Real T>
AttentionMemory<T> AttentionMemory<T>::first(Index rows) const {
  if (rows == batch()) return *this;
  return {slice(keys, 0, 0, rows), slice(values, 0, 0, rows), lengths.first(static_cast<std::size_t>(rows))};
}

template <Real T>
AttentionMemory<T> AttentionMemory<T>::select(std::span<const Index> rows) const {
  Tape<T>& tape = keys.tape();
  const auto chosen = tape.template room<Index>(static_cast<Index>(rows.size()));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    tape.template require<IndexError>(rows[i] >= 0 && rows[i] < batch(), "attention: row {} of a memory of {} rows",
                                      rows[i], batch());
    chosen[i] = lengths[static_cast<std::size_t>(rows[i])];
  }
  const bool shared = keys.index() == values.index();
  const Var<T> k = select_rows(keys, rows);
  return {k, shared ? k : select_rows(values, rows), chosen};
}

template <Real T>
AttentionMemory<T> repeat_rows(const AttentionMemory<T>& memory, Index count) {
  memory.keys.tape().template require<ValueError>(count > 0, "repeat_rows: {} times", count);
  std::vector<Index> rows(static_cast<std::size_t>(memory.batch() * count));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<Index>(i) / count;
  return memory.select(rows);
}

namespace detail {

/// The first two axes exchanged, one of which is time; what lies behind the end of a row is zero.
template <Real T>
Var<T> exchanged(Var<T> x, std::span<const Index> lengths, bool time_first) {
  const Shape shape = x.shape();
  const Index time = shape[time_first ? 0 : 1], first = shape[0], second = shape[1];
  const auto table = x.tape().template room<Index>(first * second);
  for (Index i = 0; i < first; ++i)
    for (Index j = 0; j < second; ++j) {
      const Index t = time_first ? i : j, b = time_first ? j : i;
      const bool valid = t < (lengths.empty() ? time : lengths[static_cast<std::size_t>(b)]);
      table[static_cast<std::size_t>(j * first + i)] = valid ? i * second + j : -1;
    }
  return unroll::gather_rows(x, table, {second, first, shape[2]});
}

template <Real T>
Var<T> batch_major(Var<T> sequence, std::span<const Index> lengths) {
  return exchanged(sequence, lengths, true);
}

template <Real T>
Var<T> time_major(Var<T> rows, std::span<const Index> lengths) {
  return exchanged(rows, lengths, false);
}

template <Real T>
std::span<const Index> source_lengths(Var<T> source, std::span<const Index> lengths, Index width) {
  Tape<T>& tape = source.tape();
  const Shape shape = tape.checked(source, "attention").shape;
  tape.template require<ShapeError>(shape.rank() == 3 && shape[2] == width,
                                    "attention: a source [time, batch, {}] is needed, not {}", width, shape);
  tape.template require<ShapeError>(lengths.empty() || static_cast<Index>(lengths.size()) == shape[1],
                                    "attention: {} lengths for the source {}", lengths.size(), shape);
  const auto each = tape.template room<Index>(shape[1]);
  for (std::size_t b = 0; b < each.size(); ++b) {
    each[b] = lengths.empty() ? shape[0] : lengths[b];
    tape.template require<ValueError>(each[b] != 0, "attention: row {} of the source {} has no step to attend to", b,
                                      shape);
    tape.template require<ShapeError>(each[b] > 0 && each[b] <= shape[0],
                                      "attention: length {} of row {} in the source {}", each[b], b, shape);
  }
  return each;
}

template <Real T>
void check_query(const AttentionMemory<T>& memory, Var<T> query, Index width) {
  Tape<T>& tape = query.tape();
  const Shape shape = tape.checked(query, "attention").shape;
  tape.template require<ShapeError>(shape == Shape{memory.batch(), width},
                                    "attention: a query [{}, {}] is needed for a memory of {} rows, not {}",
                                    memory.batch(), width, memory.batch(), shape);
}

template <Real T>
Attended<T> attend(const AttentionMemory<T>& memory, Var<T> scores) {
  const Var<T> weights = softmax(scores, -1);
  return {unroll::weighted_sum(weights, memory.values, memory.lengths), weights};
}

#define UNROLL_INSTANTIATE(T)                                                            \
  template Var<T> batch_major(Var<T>, std::span<const Index>);                           \
  template Var<T> time_major(Var<T>, std::span<const Index>);                            \
  template std::span<const Index> source_lengths(Var<T>, std::span<const Index>, Index); \
  template void check_query(const AttentionMemory<T>&, Var<T>, Index);                   \
  template Attended<T> attend(const AttentionMemory<T>&, Var<T>);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)

}  // namespace detail

template struct AttentionMemory<float>;
template struct AttentionMemory<double>;
template Var<float> select_rows(Var<float>, std::span<const Index>);
template Var<double> select_rows(Var<double>, std::span<const Index>);
template AttentionMemory<float> repeat_rows(const AttentionMemory<float>&, Index);
template AttentionMemory<double> repeat_rows(const AttentionMemory<double>&, Index);

}  // namespace unroll::inline UNROLL_ISA
