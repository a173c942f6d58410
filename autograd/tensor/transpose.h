#pragma once

#include <unroll/autograd/tensor/simd.h>

namespace unroll::inline UNROLL_ISA {
namespace detail {

/// The transpose of a square block of lanes<T> rows: as many perfect shuffles of the rows as it takes to double one
/// element to a register.
template <Real T, bool add>
void transpose_block(const T* from, Index from_row, T* to, Index to_row) {
  constexpr int w = static_cast<int>(lanes<T>);
  Lanes<T> rows[w], shuffled[w];
  for (int r = 0; r < w; ++r) std::memcpy(&rows[r], from + r * from_row, sizeof(rows[r]));
  for (int stage = 1; stage < w; stage *= 2) {
    [&]<int... L>(std::integer_sequence<int, L...>) {
      for (int r = 0; r < w / 2; ++r) {
        shuffled[2 * r] = __builtin_shufflevector(rows[r], rows[r + w / 2], (L % 2 * w + L / 2)...);
        shuffled[2 * r + 1] = __builtin_shufflevector(rows[r], rows[r + w / 2], (L % 2 * w + L / 2 + w / 2)...);
      }
    }(std::make_integer_sequence<int, w>());
    std::copy_n(shuffled, w, rows);
  }
  for (int r = 0; r < w; ++r) {
    if constexpr (add) {
      Lanes<T> before;
      std::memcpy(&before, to + r * to_row, sizeof(before));
      rows[r] += before;
    }
    std::memcpy(to + r * to_row, &rows[r], sizeof(rows[r]));
  }
}

}  // namespace detail

/// to = transpose of `from`, or with `add` to += that; rows of `to` are to_row apart.
template <Real T, bool add = false>
void transpose(View<const T> from, T* to, Index to_row) {
  constexpr Index w = lanes<T>;
  const auto one_by_one = [&](Index r0, Index r1, Index c0, Index c1) {
    for (Index c = c0; c < c1; ++c)
      for (Index r = r0; r < r1; ++r) {
        T& element = to[c * to_row + r];
        element = add ? element + from.row(r)[c] : from.row(r)[c];
      }
  };
  const Index rows = from.rows / w * w, cols = from.cols / w * w;
  for (Index c = 0; c < cols; c += w)
    for (Index r = 0; r < rows; r += w)
      detail::transpose_block<T, add>(from.row(r) + c, from.stride, to + c * to_row + r, to_row);
  one_by_one(rows, from.rows, 0, cols);
  one_by_one(0, from.rows, cols, from.cols);
}

}  // namespace unroll::inline UNROLL_ISA
