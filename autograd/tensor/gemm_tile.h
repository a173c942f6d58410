#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include <unroll/autograd/tensor/simd.h>

// The innermost loops of gemm: a tile of C in registers while the depth goes by. See gemm.cpp.

namespace unroll::inline UNROLL_ISA::detail::tiling {

// Registers a panel is wide at most, and rows of a tile that fill the register file without spilling.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int panel_registers = 4;
constexpr int rows_by_registers[] = {14, 12, 8, 6};
#else
constexpr int panel_registers = 3;
constexpr int rows_by_registers[] = {8, 6, 4};
#endif
constexpr int most_rows = rows_by_registers[0];

template <Real T>
constexpr Index panel = panel_registers * lanes<T>;

// A stretch of the depth of a panel stays in the second-level cache while the rows go by, and so do the rows of a
// block while the panels do; but where each block of rows packs B, fewer and larger blocks cost less.
constexpr Index depth_block = 512;
constexpr Index row_block = 264;
constexpr Index row_block_that_packs = 768;
constexpr std::size_t alignment = 64;

template <Real T>
constexpr Index line = alignment / sizeof(T);

/// Whole registers.
template <Real T>
Index padded(Index cols) {
  return (cols + lanes<T> - 1) / lanes<T> * lanes<T>;
}

/// A length cut into as few parts as there can be of at most `most`, and as even: the first `longer` are longer by one.
struct Parts {
  Index count, least, longer;

  Parts(Index length, Index most)
      : count((length + most - 1) / most),
        least(count == 0 ? 0 : length / count),
        longer(count == 0 ? 0 : length % count) {}

  Index operator[](Index i) const { return least + (i < longer ? 1 : 0); }
  Index total() const { return count * least + longer; }
};

/// Columns behind whole registers that are so few that each is computed by itself, instead of a register for them.
template <Real T>
Index lone(Index cols) {
  const Index rest = cols % lanes<T>;
  return rest <= lanes<T> / 8 ? rest : 0;
}

/// Panels of the other columns, in registers.
template <Real T>
Parts panels_of(Index cols) {
  return {padded<T>(cols - lone<T>(cols)) / lanes<T>, panel_registers};
}

template <Real T>
struct Tile {
  const T* a;
  Index a_row, a_step;  // elements to the next row, and to the next of the depth
  const T* b;
  Index b_row;
  T* c;
  Index c_row;
  Index depth;
  const T* bias;  // of the columns, or null
  bool load_c;
  const T* const* rows;  // which are loaded instead of C, or null; their columns `column` and on
  Index column;
  const T* next;  // what will be needed soon: with each row of the depth a line of it is fetched, past the first cache
  T* packed;      // where the panel is packed while it is read for the first time
};

/// What a tile does beside its product. All take an A that lies in tiles; nothing_in_tiles takes nothing else.
enum class Beside { nothing, nothing_in_tiles, fetch, pack, count };

template <Real T, int R, int V, Beside Also>
void compute(const Tile<T>& t) {
  constexpr Index w = lanes<T>;
  constexpr bool in_tiles = Also == Beside::nothing_in_tiles;
  const Index a_row = in_tiles ? 1 : t.a_row, a_step = in_tiles ? R : t.a_step;
  const Index b_row = t.b_row, c_row = t.c_row, depth = t.depth;
  T* const c = t.c;
  Batch<T> sums[R][V];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sums[r][v] = Batch<T>(T(0));
  const T *a = t.a, *b = t.b;
  [[maybe_unused]] const T* next = t.next;
  [[maybe_unused]] T* packed = t.packed;
  const auto step = [&]() __attribute__((always_inline)) {
    Batch<T> right[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) right[v] = Batch<T>::load_unaligned(b + v * w);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const Batch<T> left(a[r * a_row]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sums[r][v] = xsimd::fma(left, right[v], sums[r][v]);
    }
    a += a_step;
    b += b_row;
    if constexpr (Also == Beside::fetch) {
      __builtin_prefetch(next, 0, 2);
      next += line<T>;
    }
    if constexpr (Also == Beside::pack) {
      constexpr Index ahead = 8;
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        right[v].store_unaligned(packed + v * w);
        __builtin_prefetch(b + ahead * b_row + v * w);
      }
      packed += V * w;
    }
  };
  // C is fetched little by little, so that it does not keep A and B waiting; a short depth has no time for it.
  Index k = 0;
  if (depth >= R * V) {
#pragma GCC unroll 1
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 1
      for (int v = 0; v < V; ++v) {
        __builtin_prefetch(c + r * c_row + v * w, 1);
        step();
      }
    k = R * V;
  }
#pragma GCC unroll 2
  for (; k < depth; ++k) step();
  if (t.load_c) {
    const auto add = [&](auto row) __attribute__((always_inline)) {
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sums[r][v] += Batch<T>::load_unaligned(row(r) + v * w);
    };
    if (t.rows == nullptr)
      add([&](int r) { return c + r * c_row; });
    else
      add([&](int r) { return t.rows[r] + t.column; });
  }
  if (const T* const bias = t.bias; bias != nullptr) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const auto row = Batch<T>::load_unaligned(bias + v * w);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) sums[r][v] += row;
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sums[r][v].store_unaligned(c + r * c_row + v * w);
}

template <Real T>
using Compute = void (*)(const Tile<T>&);

/// compute<T, rows, registers, what else> at [what else][registers - 1][rows - 1]; only full panels fetch.
template <Real T>
constexpr auto tiles = [] {
  std::array<std::array<std::array<Compute<T>, most_rows>, panel_registers>, static_cast<std::size_t>(Beside::count)>
      table{};
  const auto fill = [&]<Beside Also, int V>() {
    [&]<int... R>(std::integer_sequence<int, R...>) {
      ((table[static_cast<std::size_t>(Also)][V - 1][static_cast<std::size_t>(R)] = &compute<T, R + 1, V, Also>), ...);
    }(std::make_integer_sequence<int, rows_by_registers[V - 1]>());
  };
  [&]<std::size_t... V>(std::index_sequence<V...>) {
    (fill.template operator()<Beside::nothing, static_cast<int>(V) + 1>(), ...);
    (fill.template operator()<Beside::nothing_in_tiles, static_cast<int>(V) + 1>(), ...);
    (fill.template operator()<Beside::pack, static_cast<int>(V) + 1>(), ...);
  }(std::make_index_sequence<panel_registers>());
  fill.template operator()<Beside::fetch, panel_registers>();
  return table;
}();

}  // namespace unroll::inline UNROLL_ISA::detail::tiling
