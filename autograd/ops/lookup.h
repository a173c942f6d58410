#pragma once

#include <unroll/autograd/ops/formula.h>

namespace unroll::inline UNROLL_ISA {

/// Rows `ids` of a table [entries, width], as an array of shape [...ids_shape, width]; id -1 (padding) gives
/// zeros. The gradient goes to the rows that were looked up and to no others. Throws IndexError for an id
/// outside the table.
template <Real T>
Var<T> lookup(Tape<T>& tape, const Parameter<T>& table, std::span<const std::int32_t> ids, const Shape& ids_shape);

}  // namespace unroll::inline UNROLL_ISA
