#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>

#include <unroll/autograd/tensor/gemm.h>

namespace unroll::inline UNROLL_ISA::detail {

/// The rows of a value that are copies of few others, and are put where they belong when they are read: most of them
/// never are, because a product is added to them on the way.
template <Real T>
struct PostponedRows {
  std::uint32_t block;    // of the gradient memory: that of the value
  View<T> whole;          // where they belong
  RowList<T> rows;        // where they are
  std::span<bool> apart;  // of each row: it belongs to a slice, which asks for it by itself
  bool done = false;      // all others are there

  Index row_of(View<const T> part) const { return (part.data - whole.data) / whole.stride; }
  /// Leaves the rows of `part`, whole ones that are not there yet, to a slice: returns whether they are that.
  bool give(View<const T> part) {
    if (done || part.cols != whole.cols || (part.data - whole.data) % whole.stride != 0) return false;
    std::ranges::fill(apart.subspan(static_cast<std::size_t>(row_of(part)), static_cast<std::size_t>(part.rows)), true);
    return true;
  }
  /// Columns first .. last - 1 of rows of the whole.
  void put(Index row, Index count, Index first, Index last) const {
    for (Index r = row; r < row + count; ++r) std::copy(rows.row(r) + first, rows.row(r) + last, whole.row(r) + first);
  }
  void put_others() {
    if (std::exchange(done, true)) return;
    for (Index r = 0; r < whole.rows; ++r)
      if (!apart[static_cast<std::size_t>(r)]) put(r, 1, 0, whole.cols);
  }
};

}  // namespace unroll::inline UNROLL_ISA::detail
