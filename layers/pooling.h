#pragma once

#include <numeric>

#include <unroll/autograd/ops/loss.h>
#include <unroll/layers/time_windows.h>

// From a sequence [time, batch, width] to one vector per row [batch, width], or to a shorter sequence. Padding is never
// read. (The last valid step is Unrolled::last.)

namespace unroll::inline UNROLL_ISA {
namespace detail {

template <Real T>
void check_pooled(Var<T> xs, std::span<const Index> lengths, const char* op) {
  const Shape shape = xs.shape();
  xs.tape().template require<ShapeError>(shape.rank() == 3, "{}: a sequence [time, batch, width] is needed, not {}", op,
                                         shape);
  xs.tape().template require<ShapeError>(lengths.empty() || static_cast<Index>(lengths.size()) == shape[1],
                                         "{}: {} lengths for the sequence {}", op, lengths.size(), shape);
  xs.tape().template require<ValueError>(shape[0] > 0 || shape[1] == 0, "{}: {} has no step", op, shape);
  for (std::size_t b = 0; b < lengths.size(); ++b)
    xs.tape().template require<ValueError>(lengths[b] > 0 && lengths[b] <= shape[0],
                                           "{}: length {} of row {} in the sequence {}", op, lengths[b], b, shape);
}

}  // namespace detail

/// Mean over the valid steps of each row.
template <class X>
auto mean_over_time(const X& sequence, std::span<const Index> lengths = {}) {
  using T = typename X::scalar;
  const Var<T> xs(sequence);
  detail::check_pooled(xs, lengths, "mean_over_time");
  if (lengths.empty()) return mean(xs, 0);
  Tape<T>& tape = xs.tape();
  const Index time = xs.shape()[0], batch = xs.shape()[1];
  const Var<T> mask = reshape(length_mask(tape, lengths, time), {time, batch, 1});
  const std::span<T> shares = tape.template room<T>(batch);
  for (std::size_t b = 0; b < shares.size(); ++b) shares[b] = T(1) / static_cast<T>(lengths[b]);
  return as_var(sum(where(mask, xs, 0), 0) * tape.constant(Shape{batch, 1}, shares));
}

/// Largest value over the valid steps of each row.
template <class X>
auto max_over_time(const X& sequence, std::span<const Index> lengths = {}) {
  using T = typename X::scalar;
  const Var<T> xs(sequence);
  detail::check_pooled(xs, lengths, "max_over_time");
  if (lengths.empty()) return max(xs, 0);
  const Index time = xs.shape()[0], batch = xs.shape()[1];
  const Var<T> mask = reshape(length_mask(xs.tape(), lengths, time), {time, batch, 1});
  return max(where(mask, xs, -std::numeric_limits<T>::infinity()), 0);
}

/// Windows of steps, one for every `stride` steps begun; the last ones of a row may be cut by its end.
struct PoolingWindow {
  Index size = 2, stride = 2;
};

namespace detail {

/// f(the windows' steps [windows, size, width], which of these there are [windows, size, 1], how many of each window)
/// of each window, as a sequence.
template <Real T, class F>
Var<T> pool_windows(Var<T> xs, const PoolingWindow& window, std::span<const Index> lengths, const char* op, F f) {
  Tape<T>& tape = xs.tape();
  tape.template require<ValueError>(window.size > 0 && window.stride > 0,
                                    "{}: a window of {} and a stride of {} must be at least 1", op, window.size,
                                    window.stride);
  const auto table = TimeWindows{.size = window.size, .stride = window.stride}.over(xs, lengths, op);
  const Index width = xs.shape()[2];
  const std::span<T> there = tape.template room<T>(static_cast<Index>(table.seen.size()));
  const std::span<T> counts = tape.template room<T>(table.windows);
  for (std::size_t i = 0; i < there.size(); ++i) there[i] = table.seen[i] < 0 ? T(0) : T(1);
  for (std::size_t w = 0; w < counts.size(); ++w)
    counts[w] = std::accumulate(there.begin() + static_cast<Index>(w) * window.size,
                                there.begin() + static_cast<Index>(w + 1) * window.size, T(0));
  const Var<T> steps = detail::gather_rows(xs, table.seen, Shape{table.windows, window.size, width});
  const Var<T> y = f(steps, tape.constant(Shape{table.windows, window.size, 1}, there), counts);
  return detail::gather_rows(y, table.unpacked, Shape{table.steps, xs.shape()[1], width});
}

}  // namespace detail

/// Mean over windows of steps: [time, batch, width] to [ceil(time / stride), batch, width], zero behind the end of a
/// row. The lengths are then strided_lengths(lengths, stride).
template <class X>
auto mean_pool_over_time(const X& sequence, const PoolingWindow& window, std::span<const Index> lengths = {}) {
  using T = typename X::scalar;
  return detail::pool_windows(Var<T>(sequence), window, lengths, "mean_pool_over_time",
                              [](Var<T> steps, Var<T>, std::span<T> counts) -> Var<T> {
                                for (T& n : counts) n = T(1) / n;
                                const Shape shape{static_cast<Index>(counts.size()), 1};
                                return sum(steps, 1) * steps.tape().constant(shape, std::span<const T>(counts));
                              });
}

/// Largest value over windows of steps; as mean_pool_over_time.
template <class X>
auto max_pool_over_time(const X& sequence, const PoolingWindow& window, std::span<const Index> lengths = {}) {
  using T = typename X::scalar;
  return detail::pool_windows(Var<T>(sequence), window, lengths, "max_pool_over_time",
                              [](Var<T> steps, Var<T> there, std::span<T>) -> Var<T> {
                                return max(where(there, steps, -std::numeric_limits<T>::infinity()), 1);
                              });
}

}  // namespace unroll::inline UNROLL_ISA
