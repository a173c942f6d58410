#pragma once

#include <unroll/autograd/ops/formula.h>

namespace unroll::inline UNROLL_ISA {
namespace detail {
template <Real T>
Var<T> sum(Var<T> x);
template <Real T>
Var<T> sum(Var<T> x, int axis);
template <Real T>
Var<T> max(Var<T> x, int axis);
template <Real T>
Var<T> logsumexp(Var<T> x, int axis);
template <Real T>
Var<T> softmax(Var<T> x, int axis);
template <Real T>
Var<T> log_softmax(Var<T> x, int axis);
template <Real T>
Var<T> norm(Var<T> x);
template <Real T>
Var<T> norm(Var<T> x, int axis);
template <Real T>
Var<T> cumsum(Var<T> x, int axis);
template <Real T>
Var<T> segment_sum(Var<T> x, std::span<const Index> segments, Index count);
}  // namespace detail

/// Sum of all elements, a scalar; 0 of nothing.
template <Operand X>
auto sum(const X& x) {
  return detail::sum(as_var(x));
}
/// Sum along an axis, which goes.
template <Operand X>
auto sum(const X& x, int axis) {
  return detail::sum(as_var(x), axis);
}
/// Mean of all elements. Throws ShapeError of an empty array.
template <Operand X>
auto mean(const X& x) {
  const auto v = as_var(x);
  v.tape().template require<ShapeError>(v.shape().size() > 0, "mean: {} has no elements", v.shape());
  return as_var(detail::sum(v) * (1.0 / static_cast<double>(v.shape().size())));
}
/// Mean along an axis, which goes.
template <Operand X>
auto mean(const X& x, int axis) {
  const auto v = as_var(x);
  const Index count = v.shape()[detail::axis_of(v.tape(), v.shape(), axis, "mean")];
  v.tape().template require<ShapeError>(count > 0, "mean: axis {} of {} is empty", axis, v.shape());
  return as_var(detail::sum(v, axis) * (1.0 / static_cast<double>(count)));
}
/// Largest element along an axis, which goes; the first of equals gets the gradient.
template <Operand X>
auto max(const X& x, int axis) {
  return detail::max(as_var(x), axis);
}
/// log of the sum of e^x along an axis, which goes; without overflow, -infinity where all are.
template <Operand X>
auto logsumexp(const X& x, int axis = -1) {
  return detail::logsumexp(as_var(x), axis);
}
/// e^x / sum of e^x along an axis
template <Operand X>
auto softmax(const X& x, int axis = -1) {
  return detail::softmax(as_var(x), axis);
}
/// x - logsumexp(x) along an axis
template <Operand X>
auto log_softmax(const X& x, int axis = -1) {
  return detail::log_softmax(as_var(x), axis);
}
/// Euclidean norm of all elements; gradient 0 at 0.
template <Operand X>
auto norm(const X& x) {
  return detail::norm(as_var(x));
}
/// Euclidean norm along an axis, which goes.
template <Operand X>
auto norm(const X& x, int axis) {
  return detail::norm(as_var(x), axis);
}
/// Sum of the elements up to and including each, along an axis.
template <Operand X>
auto cumsum(const X& x, int axis) {
  return detail::cumsum(as_var(x), axis);
}
/// Sums of rows: row s of the result, of `count`, is the sum of the rows r of x [rows, width] whose segments[r] is s.
/// Throws IndexError for a segment outside of them.
template <Operand X>
auto segment_sum(const X& x, std::span<const Index> segments, Index count) {
  return detail::segment_sum(as_var(x), segments, count);
}

}  // namespace unroll::inline UNROLL_ISA
