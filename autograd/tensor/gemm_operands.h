#pragma once

#include <cstring>
#include <vector>

#include <unroll/autograd/tensor/gemm_rows.h>
#include <unroll/autograd/tensor/gemm_tile.h>
#include <unroll/autograd/tensor/transpose.h>

// How the operands of gemm come before its tiles: where they lie, or packed. See gemm.cpp.

namespace unroll::inline UNROLL_ISA::detail::tiling {

/// op(A) over a stretch of the depth, and how its rows are spread over tiles.
template <Real T>
struct Left {
  const T* data;
  Index stride;   // elements to the next row, where A lies
  bool in_tiles;  // by pack_tiles
  Parts rows;
};

/// Elements that pack_tiles copies at once; between tiles there is room for as many, where the last row's copy ends.
constexpr Index piece = 8;
template <Real T>
constexpr Index between_tiles = std::max(lanes<T>, piece);

/// Elements from one tile of `rows` to the next in what pack_tiles makes.
template <Real T>
Index tile_size(Index rows, Index depth) {
  return rows * depth + between_tiles<T>;
}

/// Zeroes what whole registers have beyond the columns of a packed panel.
template <Real T>
void pad(Index cols, Index depth, T* to) {
  const Index width = padded<T>(cols);
  if (cols < width)
    for (Index i = 0; i < depth; ++i) std::fill_n(to + i * width + cols, width - cols, T(0));
}

/// Columns first .. first + cols of rows k .. k + depth of b, padded to whole registers.
template <Real T, class B>
void pack_rows(const B& b, Index first, Index cols, Index k, Index depth, T* to) {
  const Index width = padded<T>(cols), whole = cols / lanes<T> * lanes<T>;
  for (Index i = 0; i < depth; ++i) {
    const T* const from = b.row(k + i) + first;
    T* const row = to + i * width;
    for (Index j = 0; j < whole; j += lanes<T>) Batch<T>::load_unaligned(from + j).store_unaligned(row + j);
    for (Index j = whole; j < cols; ++j) row[j] = from[j];
  }
  pad(cols, depth, to);
}

/// The same of op(b).
template <Real T>
void pack(Trans tb, View<const T> b, Index first, Index cols, Index k, Index depth, T* to) {
  if (tb == Trans::no) return pack_rows<T>(b, first, cols, k, depth, to);
  unroll::transpose<T>(View<const T>{b.row(first) + k, cols, depth, b.stride}, to, padded<T>(cols));
  pad(cols, depth, to);
}

/// Rows k .. k + depth of `from`, columns m and on: of each, the elements of a tile go side by side into that tile's
/// part of `to`, in whole pieces: what is too much is overwritten by the next row, or lies between the tiles.
template <int pieces, Real T, class A>
void deal_out(const A& from, Index k, Index depth, Index m, Index cols, const Parts& rows, T* to) {
  constexpr Index written = pieces * piece;
  // Tiles of one height; the last of all have no room for whole pieces.
  struct Alike {
    Index count, whole, here, apart;
  };
  const auto alike = [&](Index count, Index here, Index first) {
    const Index room = cols - first - written;
    return Alike{count, room < 0 ? 0 : std::min(count, room / here + 1), here, tile_size<T>(here, depth)};
  };
  const Index longer = rows.least + 1;
  const std::array<Alike, 2> heights{alike(rows.longer, longer, 0),
                                     alike(rows.count - rows.longer, rows.least, rows.longer * longer)};
  for (Index d = 0; d < depth; ++d) {
    const T* at = from.row(k + d) + m;
    T* tile = to;
    for (const auto& [count, whole, here, apart] : heights) {
      T* side = tile + d * here;
      Index i = 0;
      for (; i < whole; ++i, at += here, side += apart) std::memcpy(side, at, written * sizeof(T));
      for (; i < count; ++i, at += here, side += apart) std::copy_n(at, here, side);
      tile += count * apart;
    }
  }
}
template <Real T, class A>
void pack_tiles(const A& from, Index k, Index depth, Index m, Index cols, const Parts& rows, T* to) {
  static_assert(most_rows <= 2 * piece);
  if (rows[0] <= piece)
    deal_out<1, T>(from, k, depth, m, cols, rows, to);
  else
    deal_out<2, T>(from, k, depth, m, cols, rows, to);
}

/// Rows m .. m + count of A^T over a stretch of the depth, in tiles that stay until the next call in this thread.
template <Real T, class A>
Left<T> in_tiles(const A& a, Index m, Index k, Index depth, const Parts& rows, Index count) {
  static thread_local std::vector<T> memory;
  const auto needed = static_cast<std::size_t>(count * depth + rows.count * between_tiles<T>);
  if (memory.size() < needed) memory.resize(needed);
  pack_tiles<T>(a, k, depth, m, count, rows, memory.data());
  return {memory.data(), 0, true, rows};
}

/// Rows m .. m + count of op(A) over a stretch of the depth.
template <Real T>
Left<T> left_of(Trans ta, View<const T> a, Index m, Index k, Index depth, const Parts& rows, Index count) {
  if (ta == Trans::yes) return in_tiles<T>(a, m, k, depth, rows, count);
  return {a.row(m) + k, a.stride, false, rows};
}
/// Rows that lie anywhere are transposed always.
template <Real T>
Left<T> left_of(Trans, const RowList<T>& a, Index m, Index k, Index depth, const Parts& rows, Index count) {
  return in_tiles<T>(a, m, k, depth, rows, count);
}

/// Column n of rows k .. k + depth of b.
template <Real T, class B>
const T* pack_column(const B& b, Index n, Index k, Index depth, T* to) {
  for (Index i = 0; i < depth; ++i) to[i] = b.row(k + i)[n];
  return to;
}

/// A panel over a stretch of the depth; the one after it if it should be fetched; where to pack it if it should be.
template <Real T>
struct Panel {
  const T* rows;
  Index row;
  const T* next = nullptr;
  T* packed = nullptr;
};

/// op(B) as the product takes it: panel(first column, columns, first of the depth, depth), and column(column, first of
/// the depth, depth), whose elements lie side by side. Both stay until the next call.
template <Real T>
struct PackedRight {
  const Packed<T>& b;
  bool beyond_cache = b.rows() * b.cols() * static_cast<Index>(sizeof(T)) > Index{1} << 20;

  Panel<T> panel(Index n, Index cols, Index k, Index) const {
    const Index width = padded<T>(cols);
    const T* const rows = b.data() + n * b.rows() + k * width;
    return {rows, width, beyond_cache ? rows + b.rows() * width : nullptr};
  }
  const T* column(Index n, Index k, Index) const {
    const Index in_panels = b.cols() - lone<T>(b.cols());
    return b.data() + (padded<T>(in_panels) + n - in_panels) * b.rows() + k;
  }
};

/// Memory that a panel is packed in on the way.
template <Real T>
using OnePanel = T[depth_block * panel<T>];

template <Real T>
struct PlainRight {
  Trans trans;
  View<const T> b;
  Index rows;  // of C
  OnePanel<T>& packed;

  Panel<T> panel(Index n, Index cols, Index k, Index depth) const {
    // A few rows read B once, where it lies.
    if (trans == Trans::no && cols % lanes<T> == 0)
      return {b.row(k) + n, b.stride, nullptr, rows <= rows_by_registers[cols / lanes<T> - 1] ? nullptr : packed};
    pack(trans, b, n, cols, k, depth, packed);
    return {packed, padded<T>(cols)};
  }
  const T* column(Index n, Index k, Index depth) const {
    return trans == Trans::yes ? b.row(n) + k : pack_column<T>(b, n, k, depth, packed);
  }
};

template <Real T>
struct ListedRight {
  const RowList<T>& b;
  OnePanel<T>& packed;

  Panel<T> panel(Index n, Index cols, Index k, Index depth) const {
    pack_rows<T>(b, n, cols, k, depth, packed);
    return {packed, padded<T>(cols)};
  }
  const T* column(Index n, Index k, Index depth) const { return pack_column<T>(b, n, k, depth, packed); }
};

}  // namespace unroll::inline UNROLL_ISA::detail::tiling
