#pragma once

#include <unroll/autograd/ops/formula.h>
#include <unroll/autograd/tensor/gemm.h>

namespace unroll::inline UNROLL_ISA {

/// Which operands of a product are transposed first.
struct Transposed {
  bool a = false, b = false;
};

namespace detail {
template <Real T>
Var<T> matmul(Var<T> a, Var<T> b, Transposed transposed);
template <Real T>
Var<T> affine(Var<T> x, Var<T> w, Var<T> bias);
template <Real T>
Var<T> addmm(Var<T> x, Var<T> h, Var<T> w);
template <Real T>
Var<T> batched_matmul(Var<T> a, Var<T> b, Transposed transposed);
template <Real T>
Var<T> outer(Var<T> a, Var<T> b);
}  // namespace detail

/// op(a) op(b): [..., K] x [K, N] gives [..., N]; the leading axes of `a` are rows. A vector is one row.
/// With `transposed.a`, a is a matrix [K, M]; with `transposed.b`, b is [N, K].
/// Throws ShapeError when the inner extents differ.
template <Operand A, Operand B>
auto matmul(const A& a, const B& b, Transposed transposed = {}) {
  const auto [x, y] = on_one_tape(a, b);
  return detail::matmul(x, y, transposed);
}

/// x w + bias, for x [..., K], w [K, N], bias [N].
template <Operand X, Operand W, Operand B>
auto affine(const X& x, const W& w, const B& bias) {
  const auto [a, b, c] = on_one_tape(x, w, bias);
  return detail::affine(a, b, c);
}

/// x + h w, for x [..., N], h [..., K], w [K, N]. On a slice of the projected sequence that Recurrent hands
/// to a step the sum is formed in place, and the slice must not be read again; elsewhere x is copied.
template <Operand X, Operand H, Operand W>
auto addmm(const X& x, const H& h, const W& w) {
  const auto [a, b, c] = on_one_tape(x, h, w);
  return detail::addmm(a, b, c);
}

/// Products of the matrices of two batches: [N, M, K] x [N, K, P] gives [N, M, P].
template <Operand A, Operand B>
auto batched_matmul(const A& a, const B& b, Transposed transposed = {}) {
  const auto [x, y] = on_one_tape(a, b);
  return detail::batched_matmul(x, y, transposed);
}

/// a b^T of two vectors: [M] and [N] give [M, N]; of the rows of [B, M] and [B, N], [B, M, N].
template <Operand A, Operand B>
auto outer(const A& a, const B& b) {
  const auto [x, y] = on_one_tape(a, b);
  return detail::outer(x, y);
}

}  // namespace unroll::inline UNROLL_ISA
