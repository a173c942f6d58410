#pragma once

#include <unroll/autograd/ops/loss.h>

// From a sequence [time, batch, width] to one vector per row [batch, width]. Padding is never read. (The last valid
// step is Unrolled::last.)

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

}  // namespace unroll::inline UNROLL_ISA
