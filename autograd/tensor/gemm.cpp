#include <unroll/autograd/tensor/gemm.h>

#include <cstring>
#include <new>

#include <unroll/autograd/tensor/simd.h>

// C is made in tiles that stay in registers while the depth goes by: R rows by V registers. B is read in panels of
// V registers' width, whose rows lie one after the other (packed); of A one element at a time serves a whole row of
// the tile, where it lies, or transposed first when it is to be transposed (Goto and van de Geijn 2008).

namespace unroll::inline UNROLL_ISA {
namespace {

// Registers a panel is wide at most, and rows of a tile that fill the register file without spilling.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int panel_registers = 4;
constexpr int rows_by_registers[] = {14, 12, 8, 6};
#else
constexpr int panel_registers = 2;
constexpr int rows_by_registers[] = {8, 6};
#endif
constexpr int most_rows = rows_by_registers[0];

template <Real T>
constexpr Index panel = panel_registers * lanes<T>;

// A stretch of the depth of a panel stays in the second-level cache while the rows go by, and so do the rows of a
// block while the panels do.
constexpr Index depth_block = 384;
constexpr Index row_block = 512;
constexpr std::size_t alignment = 64;

template <Real T>
constexpr Index line = alignment / sizeof(T);

/// Whole registers.
template <Real T>
Index padded(Index cols) {
  return (cols + lanes<T> - 1) / lanes<T> * lanes<T>;
}

/// Depth is cut into equal stretches.
Index stretch_of(Index depth) {
  const Index count = (depth + depth_block - 1) / depth_block;
  return count == 0 ? 0 : (depth + count - 1) / count;
}

template <Real T>
struct Tile {
  const T* a;
  Index a_row;  // elements to the next row
  const T* b;
  Index b_row;
  T* c;
  Index c_row;
  Index depth;
  const T* bias;  // of the columns, or null
  bool load_c;
  const T* next;  // what will be needed soon: a line of it is fetched with each row of the depth
};

template <Real T, int R, int V, bool Fetch>
void compute(const Tile<T>& t) {
  constexpr Index w = lanes<T>;
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) __builtin_prefetch(t.c + r * t.c_row + v * w, 1);
  Batch<T> sums[R][V];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sums[r][v] = Batch<T>(T(0));
  const T *a = t.a, *b = t.b, *next = t.next;
  for (Index k = 0; k < t.depth; ++k) {
    Batch<T> right[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) right[v] = Batch<T>::load_unaligned(b + v * w);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const Batch<T> left(a[r * t.a_row]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sums[r][v] = xsimd::fma(left, right[v], sums[r][v]);
    }
    ++a;
    b += t.b_row;
    if constexpr (Fetch) {
      __builtin_prefetch(next);
      next += line<T>;
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      T* const to = t.c + r * t.c_row + v * w;
      if (t.load_c) sums[r][v] += Batch<T>::load_unaligned(to);
      if (t.bias != nullptr) sums[r][v] += Batch<T>::load_unaligned(t.bias + v * w);
      sums[r][v].store_unaligned(to);
    }
}

template <Real T>
using Compute = void (*)(const Tile<T>&);

/// compute<T, rows, registers, false> at [registers - 1][rows - 1], and of full panels that fetch at [panel_registers].
template <Real T>
constexpr auto tiles = [] {
  std::array<std::array<Compute<T>, most_rows>, panel_registers + 1> table{};
  const auto fill = [&]<std::size_t At, int V, bool Fetch>() {
    [&]<int... R>(std::integer_sequence<int, R...>) {
      ((table[At][static_cast<std::size_t>(R)] = &compute<T, R + 1, V, Fetch>), ...);
    }(std::make_integer_sequence<int, rows_by_registers[V - 1]>());
  };
  [&]<std::size_t... V>(std::index_sequence<V...>) {
    (fill.template operator()<V, static_cast<int>(V) + 1, false>(), ...);
  }(std::make_index_sequence<panel_registers>());
  fill.template operator()<panel_registers, panel_registers, true>();
  return table;
}();

/// All rows of one panel over one stretch of the depth. Rows are spread evenly over the tiles.
template <Real T>
void panel_rows(Tile<T> t, Index rows, Index cols) {
  const Index width = padded<T>(cols);
  const auto registers = static_cast<std::size_t>(width / lanes<T>);
  const Index most = rows_by_registers[registers - 1];
  const Index count = (rows + most - 1) / most, least = rows / count, longer = rows % count;
  const T* const next = t.next;
  T* const c = t.c;
  const Index c_row = t.c_row;
  alignas(alignment) std::array<T, static_cast<std::size_t>(most_rows * panel<T>)> edge;
  alignas(alignment) std::array<T, static_cast<std::size_t>(panel<T>)> edge_bias;
  if (cols < width && t.bias != nullptr) t.bias = std::copy_n(t.bias, cols, edge_bias.data()) - cols;
  for (Index i = 0, r = 0; i < count; ++i) {
    const Index here = least + (i < longer ? 1 : 0);
    // The first tiles share the next panel between them.
    const bool fetch = next != nullptr && width == panel<T> && i < panel<T> / line<T>;
    t.next = next + (fetch ? i * t.depth * line<T> : 0);
    const Compute<T> run = tiles<T>[fetch ? panel_registers : registers - 1][static_cast<std::size_t>(here - 1)];
    if (cols == width) {
      t.c = c + r * c_row;
      run(t);
    } else {
      t.c = edge.data();
      t.c_row = width;
      if (t.load_c)
        for (Index k = 0; k < here; ++k) std::copy_n(c + (r + k) * c_row, cols, edge.data() + k * width);
      run(t);
      for (Index k = 0; k < here; ++k) std::copy_n(edge.data() + k * width, cols, c + (r + k) * c_row);
    }
    r += here;
    t.a += here * t.a_row;
  }
}

/// A register as the compiler's own vector, for shuffles that are the same on every machine.
template <Real T>
using Lanes [[gnu::vector_size(static_cast<std::size_t>(lanes<T>) * sizeof(T))]] = T;

/// The transpose of a square block of lanes<T> rows: as many perfect shuffles of the rows as it takes to double one
/// element to a register.
template <Real T>
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
  for (int r = 0; r < w; ++r) std::memcpy(to + r * to_row, &rows[r], sizeof(rows[r]));
}

/// to = transpose of `from`, rows of `to` to_row apart.
template <Real T>
void transpose(View<const T> from, T* to, Index to_row) {
  constexpr Index w = lanes<T>;
  const auto one_by_one = [&](Index r0, Index r1, Index c0, Index c1) {
    for (Index c = c0; c < c1; ++c)
      for (Index r = r0; r < r1; ++r) to[c * to_row + r] = from.row(r)[c];
  };
  const Index rows = from.rows / w * w, cols = from.cols / w * w;
  for (Index c = 0; c < cols; c += w)
    for (Index r = 0; r < rows; r += w) transpose_block(from.row(r) + c, from.stride, to + c * to_row + r, to_row);
  one_by_one(rows, from.rows, 0, cols);
  one_by_one(0, from.rows, cols, from.cols);
}

/// Columns first .. first + cols and rows of the depth k .. k + depth of op(b), padded to whole registers.
template <Real T>
void pack(Trans tb, View<const T> b, Index first, Index cols, Index k, Index depth, T* to) {
  const Index width = padded<T>(cols);
  if (tb == Trans::yes) {
    transpose<T>({b.row(first) + k, cols, depth, b.stride}, to, width);
  } else {
    const Index whole = cols / lanes<T> * lanes<T>;
    for (Index i = 0; i < depth; ++i) {
      const T* const from = b.row(k + i) + first;
      T* const row = to + i * width;
      for (Index j = 0; j < whole; j += lanes<T>) Batch<T>::load_unaligned(from + j).store_unaligned(row + j);
      for (Index j = whole; j < cols; ++j) row[j] = from[j];
    }
  }
  if (cols < width)
    for (Index i = 0; i < depth; ++i) std::fill_n(to + i * width + cols, width - cols, T(0));
}

template <Real T>
T* allocate(Index count) {
  return static_cast<T*>(::operator new[](static_cast<std::size_t>(count) * sizeof(T), std::align_val_t{alignment}));
}

template <Real T>
void fill_zero(View<T> c) {
  for (Index r = 0; r < c.rows; ++r) std::fill_n(c.row(r), c.cols, T(0));
}

/// A panel over a stretch of the depth, and the one after it if it should be fetched.
template <Real T>
struct Panel {
  const T* rows;
  Index row;
  const T* next = nullptr;
};

/// The product, with panels of B from `panel_of(first column, columns, first of the depth, depth)`.
template <Real T, class PanelOf>
void multiply(Trans ta, View<const T> a, View<T> c, const T* bias, bool accumulate, PanelOf panel_of) {
  const Index depth = ta == Trans::yes ? a.rows : a.cols;
  if (depth == 0)
    for (Index r = 0; r < c.rows; ++r) {
      if (!accumulate) std::fill_n(c.row(r), c.cols, T(0));
      if (bias != nullptr) simd::add_scaled(T(1), bias, c.row(r), c.cols);
    }
  const Index stretch = stretch_of(depth);
  static thread_local std::vector<T> transposed;
  if (ta == Trans::yes) transposed.resize(static_cast<std::size_t>(row_block * depth_block));
  for (Index m = 0; m < c.rows; m += row_block)
    for (Index k = 0; k < depth; k += stretch) {
      const Index rows = std::min(row_block, c.rows - m), here = std::min(stretch, depth - k);
      View<const T> left{a.row(m) + k, rows, here, a.stride};
      if (ta == Trans::yes) {
        transpose<T>({a.row(k) + m, here, rows, a.stride}, transposed.data(), here);
        left = {transposed.data(), rows, here, here};
      }
      for (Index n = 0; n < c.cols; n += panel<T>) {
        const Index cols = std::min(panel<T>, c.cols - n);
        const Panel<T> b = panel_of(n, cols, k, here);
        panel_rows<T>({left.data, left.stride, b.rows, b.row, c.row(m) + n, c.stride, here,
                       bias == nullptr || k > 0 ? nullptr : bias + n, accumulate || k > 0, b.next},
                      rows, cols);
      }
    }
}

}  // namespace

template <Real T>
void gemm_naive(Trans ta, View<const T> a, Trans tb, View<const T> b, View<T> c, bool accumulate) {
  const Index depth = ta == Trans::yes ? a.rows : a.cols;
  for (Index m = 0; m < c.rows; ++m)
    for (Index n = 0; n < c.cols; ++n) {
      T total = accumulate ? c.row(m)[n] : T(0);
      for (Index k = 0; k < depth; ++k)
        total += (ta == Trans::yes ? a.row(k)[m] : a.row(m)[k]) * (tb == Trans::yes ? b.row(n)[k] : b.row(k)[n]);
      c.row(m)[n] = total;
    }
}

template <Real T>
void gemm(Trans ta, View<const T> a, Trans tb, View<const T> b, View<T> c, bool accumulate, const T* bias) {
  alignas(alignment) T packed[depth_block * panel<T>];
  multiply<T>(ta, a, c, bias, accumulate, [&](Index n, Index cols, Index k, Index depth) -> Panel<T> {
    // A few rows read B once, where it lies.
    if (tb == Trans::no && c.rows <= most_rows && cols % lanes<T> == 0) return {b.row(k) + n, b.stride};
    pack(tb, b, n, cols, k, depth, packed);
    return {packed, padded<T>(cols)};
  });
}

template <Real T>
void gemm(Trans ta, View<const T> a, const Packed<T>& b, View<T> c, bool accumulate, const T* bias) {
  const bool beyond_cache = b.rows() * b.cols() * static_cast<Index>(sizeof(T)) > Index{1} << 20;
  multiply<T>(ta, a, c, bias, accumulate, [&](Index n, Index cols, Index k, Index) -> Panel<T> {
    const Index width = padded<T>(cols);
    const T* const rows = b.data() + n * b.rows() + k * width;
    return {rows, width, beyond_cache ? rows + b.rows() * width : nullptr};
  });
}

template <Real T>
void Packed<T>::Free::operator()(T* memory) const {
  ::operator delete[](memory, std::align_val_t{alignment});
}

template <Real T>
void Packed<T>::assign(Trans tb, View<const T> b) {
  rows_ = tb == Trans::yes ? b.cols : b.rows;
  cols_ = tb == Trans::yes ? b.rows : b.cols;
  const Index size = rows_ * padded<T>(cols_);
  if (size > capacity_) {
    data_.reset(allocate<T>(size));
    capacity_ = size;
  }
  for (Index n = 0; n < cols_; n += panel<T>)
    pack(tb, b, n, std::min(panel<T>, cols_ - n), 0, rows_, data_.get() + n * rows_);
}

template void gemm(Trans, View<const float>, Trans, View<const float>, View<float>, bool, const float*);
template void gemm(Trans, View<const double>, Trans, View<const double>, View<double>, bool, const double*);
template void gemm(Trans, View<const float>, const Packed<float>&, View<float>, bool, const float*);
template void gemm(Trans, View<const double>, const Packed<double>&, View<double>, bool, const double*);
template void gemm_naive(Trans, View<const float>, Trans, View<const float>, View<float>, bool);
template void gemm_naive(Trans, View<const double>, Trans, View<const double>, View<double>, bool);
template class Packed<float>;
template class Packed<double>;

}  // namespace unroll::inline UNROLL_ISA
