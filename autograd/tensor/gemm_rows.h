#pragma once

#include <unroll/autograd/tensor/gemm.h>

namespace unroll::inline UNROLL_ISA {

/// C = A^T B + (accumulate ? C : 0), of as many rows of A as of B, as gemm.
template <Real T>
void gemm_rows(const RowList<T>& a, View<const T> b, View<T> c, bool accumulate);
template <Real T>
void gemm_rows(const RowList<T>& a, const RowList<T>& b, View<T> c, bool accumulate);

}  // namespace unroll::inline UNROLL_ISA
