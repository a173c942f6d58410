#pragma once

#include <unroll/autograd/ops/formula.h>

// Ops that move values. Those that can look at memory where it lies are views and cost one node.

namespace unroll::inline UNROLL_ISA {
namespace detail {

template <Real T>
Var<T> reshape(Var<T> x, const Shape& shape);
template <Real T>
Var<T> transpose(Var<T> x, int axis_a, int axis_b);
template <Real T>
Var<T> slice(Var<T> x, int axis, Index first, Index last);
template <Real T>
Var<T> broadcast_to(Var<T> x, const Shape& shape);
template <Real T>
Var<T> reverse(Var<T> x, int axis);
template <Real T>
Var<T> concat(std::span<const Var<T>> parts, int axis);
template <Real T>
Var<T> stack(std::span<const Var<T>> parts);
template <Real T>
Var<T> gather_rows(Var<T> x, std::span<const Index> rows, const Shape& shape);
template <Real T>
Var<T> gather_rows(std::span<const Var<T>> xs, std::span<const std::span<const Index>> rows, const Shape& shape);
template <Real T>
Var<T> pick(Var<T> x, std::span<const std::int32_t> columns);
template <Real T>
Var<T> contiguous(Var<T> x);
template <Real T>
Var<T> stop_gradient(Var<T> x);

}  // namespace detail

/// The same elements in row-major order under another shape; a view where the elements are adjacent.
template <Operand X>
auto reshape(const X& x, const Shape& shape) {
  return detail::reshape(as_var(x), shape);
}

/// Two axes exchanged, by default the last two.
template <Operand X>
auto transpose(const X& x, int axis_a = -2, int axis_b = -1) {
  return detail::transpose(as_var(x), axis_a, axis_b);
}

/// Elements first .. last - 1 of an axis. A view along the first and the last axis, else a copy.
template <Operand X>
auto slice(const X& x, int axis, Index first, Index last) {
  return detail::slice(as_var(x), axis, first, last);
}

/// N equal parts of an axis, by default the last; views along the first and the last axis.
template <int N, Operand X>
auto split(const X& x, int axis = -1) {
  const auto v = as_var(x);
  using T = typename X::scalar;
  const Index extent = v.shape()[detail::axis_of(v.tape(), v.shape(), axis, "split")];
  v.tape().template require<ShapeError>(extent % N == 0, "split: axis {} of {} does not part into {}", axis, v.shape(),
                                        int{N});
  std::array<Var<T>, N> parts;
  for (int i = 0; i < N; ++i)
    parts[static_cast<std::size_t>(i)] = detail::slice(v, axis, i * (extent / N), (i + 1) * (extent / N));
  return parts;
}

/// Parts side by side along an axis; the other extents must agree.
template <Real T>
Var<T> concat(std::span<const Var<T>> parts, int axis = -1) {
  return detail::concat(parts, axis);
}
template <Operand X, Operand Y, Operand... Z>
auto concat(const X& x, const Y& y, const Z&... z) {
  const auto parts = on_one_tape(x, y, z...);
  return detail::concat(std::span<const Var<typename X::scalar>>(parts), -1);
}

/// Parts of one shape along a new first axis.
template <Real T>
Var<T> stack(std::span<const Var<T>> parts) {
  return detail::stack(parts);
}

/// `count` copies along a new first axis: one input for every time step.
template <Operand X>
auto repeat(const X& x, Index count) {
  const auto v = as_var(x);
  return detail::broadcast_to(v, v.shape().inserted(0, count));
}

/// Stretched to `shape` as element-wise ops do.
template <Operand X>
auto broadcast_to(const X& x, const Shape& shape) {
  return detail::broadcast_to(as_var(x), shape);
}

/// The order along an axis turned round, by default that of time.
template <Operand X>
auto reverse(const X& x, int axis = 0) {
  return detail::reverse(as_var(x), axis);
}

/// A sequence [time, batch, ...] with the first lengths[b] steps of each row b turned round; padding becomes
/// zero, and is not read. No lengths: all steps.
template <Operand X>
auto reverse_time(const X& x, std::span<const Index> lengths);

/// Rows of x, where x is seen as [rows, features] over its last axis: result row i is row rows[i] of x, or zero
/// for -1. `shape` is that of the result.
template <Operand X>
auto gather_rows(const X& x, std::span<const Index> rows, const Shape& shape) {
  return detail::gather_rows(as_var(x), rows, shape);
}
/// The same of several values, side by side: the features of xs[0] at its rows[0], then those of xs[1] at its rows[1],
/// and so on.
template <Real T>
Var<T> gather_rows(std::span<const Var<T>> xs, std::span<const std::span<const Index>> rows, const Shape& shape) {
  return detail::gather_rows(xs, rows, shape);
}

/// One element of each row of the last axis: y[...] = x[..., columns[...]].
template <Operand X>
auto pick(const X& x, std::span<const std::int32_t> columns) {
  return detail::pick(as_var(x), columns);
}

/// x itself if its elements are adjacent in memory, else a copy whose are.
template <Operand X>
auto contiguous(const X& x) {
  return detail::contiguous(as_var(x));
}

/// The value of x, through which no gradient flows.
template <Operand X>
auto stop_gradient(const X& x) {
  return detail::stop_gradient(as_var(x));
}

template <Operand X>
auto reverse_time(const X& x, std::span<const Index> lengths) {
  const auto v = as_var(x);
  if (lengths.empty()) return detail::reverse(v, 0);
  auto& tape = v.tape();
  const Shape shape = v.shape();
  tape.template require<ShapeError>(shape.rank() >= 2 && shape[1] == static_cast<Index>(lengths.size()),
                                    "reverse_time: {} lengths for a sequence {}", lengths.size(), shape);
  const Index time = shape[0], batch = shape[1];
  const auto rows = tape.template room<Index>(time * batch);
  for (Index b = 0; b < batch; ++b) {
    const Index n = lengths[static_cast<std::size_t>(b)];
    tape.template require<ShapeError>(n >= 0 && n <= time, "reverse_time: length {} of row {} in a sequence {}", n, b,
                                      shape);
    for (Index t = 0; t < time; ++t)
      rows[static_cast<std::size_t>(t * batch + b)] = t < n ? (n - 1 - t) * batch + b : -1;
  }
  if (shape.rank() == 3) return detail::gather_rows(v, rows, shape);
  const Index features = batch == 0 || time == 0 ? 0 : shape.size() / (time * batch);
  return detail::reshape(
      detail::gather_rows(detail::reshape(v, {time, batch, features}), rows, {time, batch, features}), shape);
}

}  // namespace unroll::inline UNROLL_ISA
