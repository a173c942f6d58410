#pragma once

#include <unroll/autograd/tensor/tensor.h>

namespace unroll::inline UNROLL_ISA {

enum class Trans : bool { no, yes };

/// C = op(A) op(B) + (accumulate ? C : 0), where op transposes on request. C must not overlap A or B.
/// Large single-precision products go to oneDNN when the library was built with it, on the calling
/// thread; all others to a register-tiled kernel.
template <Real T>
void gemm(Trans ta, View<const T> a, Trans tb, View<const T> b, View<T> c, bool accumulate);

/// The same product by the register-tiled kernel alone.
template <Real T>
void gemm_tiled(Trans ta, View<const T> a, Trans tb, View<const T> b, View<T> c, bool accumulate);

/// The same product by three loops: what the others are checked against.
template <Real T>
void gemm_naive(Trans ta, View<const T> a, Trans tb, View<const T> b, View<T> c, bool accumulate);

/// B = transpose of A.
template <Real T>
void transpose(View<const T> a, View<T> b);

}  // namespace unroll::inline UNROLL_ISA
