#include <unroll/autograd/tensor/gemm.h>

#include <new>

#include <unroll/autograd/tensor/fetch_ahead.h>
#include <unroll/autograd/tensor/gemm_operands.h>

// C is made in tiles that stay in registers while the depth goes by: R rows by V registers. B is read in panels of
// V registers' width, whose rows lie one after the other (packed); of A one element at a time serves a whole row of
// the tile, where it lies, or, when A is to be transposed, from a copy in which the R elements of a tile stand side by
// side (Goto and van de Geijn 2008). A column or two behind the last whole register are products of a matrix and a
// vector.

namespace unroll::inline UNROLL_ISA {

using namespace detail::tiling;

namespace {

/// All rows of one panel over one stretch of the depth.
template <Real T>
void panel_rows(Tile<T> t, const Left<T>& a, Index cols) {
  const Index width = padded<T>(cols);
  const auto registers = static_cast<std::size_t>(width / lanes<T>);
  const T* const next = t.next;
  detail::FetchAhead& ahead = detail::FetchAhead::of_thread();
  T* const c = t.c;
  const Index c_row = t.c_row;
  const T* const* const rows = t.rows;
  const auto row_to_load = [&](Index r) { return rows == nullptr ? c + r * c_row : rows[r] + t.column; };
  alignas(alignment) std::array<T, static_cast<std::size_t>(most_rows * panel<T>)> edge;
  alignas(alignment) std::array<T, static_cast<std::size_t>(panel<T>)> edge_bias;
  if (cols < width && t.bias != nullptr) t.bias = std::copy_n(t.bias, cols, edge_bias.data()) - cols;
  t.a = a.data;
  t.a_row = a.in_tiles ? 1 : a.stride;
  for (Index i = 0, r = 0; i < a.rows.count; ++i) {
    const Index here = a.rows[i];
    t.a_step = a.in_tiles ? here : 1;
    const bool pack = i == 0 && t.packed != nullptr, full = width == panel<T>;
    // The first tiles share the next panel between them; others fetch what was asked for.
    constexpr Index sharing = (panel<T> + line<T> - 1) / line<T>;
    if (full && !pack)
      t.next = next != nullptr && i < sharing ? next + i * t.depth * line<T> : ahead.template take<T>(t.depth);
    const Beside also = pack                        ? Beside::pack
                        : full && t.next != nullptr ? Beside::fetch
                        : a.in_tiles                ? Beside::nothing_in_tiles
                                                    : Beside::nothing;
    const Compute<T> run = tiles<T>[static_cast<std::size_t>(also)][registers - 1][static_cast<std::size_t>(here - 1)];
    if (cols == width) {
      t.c = c + r * c_row;
      t.rows = rows == nullptr ? nullptr : rows + r;
      run(t);
    } else {
      t.c = edge.data();
      t.c_row = width;
      t.rows = nullptr;
      if (t.load_c)
        for (Index k = 0; k < here; ++k) std::copy_n(row_to_load(r + k), cols, edge.data() + k * width);
      run(t);
      for (Index k = 0; k < here; ++k) std::copy_n(edge.data() + k * width, cols, c + (r + k) * c_row);
    }
    if (pack) {
      t.b = t.packed;
      t.b_row = width;
    }
    r += here;
    t.a += a.in_tiles ? tile_size<T>(here, t.depth) : here * a.stride;
  }
}

/// The same of one column of B, whose elements lie side by side.
template <Real T>
void lone_column(const Left<T>& a, const T* column, Index depth, T* c, Index c_row, const T* bias,
                 const Addend<T>& addend) {
  const auto put = [&](Index row, T sum) {
    T& to = c[row * c_row];
    const T* const from = addend.rows == nullptr ? &to : addend.rows[row] + addend.column;
    to = (addend.any ? *from + sum : sum) + (bias != nullptr ? *bias : T(0));
  };
  if (!a.in_tiles) {
    for (Index r = 0, count = a.rows.total(); r < count; ++r) put(r, simd::dot(a.data + r * a.stride, column, depth));
    return;
  }
  constexpr Index w = lanes<T>, chains = 4;  // sums that wait for each other
  const T* tile = a.data;
  for (Index i = 0, r = 0; i < a.rows.count; r += a.rows[i++]) {
    const Index here = a.rows[i];
    for (Index first = 0; first < here; first += w) {
      Batch<T> sums[chains];
      std::fill_n(sums, chains, Batch<T>(T(0)));
      const auto step = [&](Index k, Batch<T>& sum) {
        sum = xsimd::fma(Batch<T>::load_unaligned(tile + k * here + first), Batch<T>(column[k]), sum);
      };
      Index k = 0;
      for (; k + chains <= depth; k += chains)
#pragma GCC unroll 4
        for (Index j = 0; j < chains; ++j) step(k + j, sums[j]);
      for (; k < depth; ++k) step(k, sums[0]);
      std::array<T, static_cast<std::size_t>(w)> all;
      ((sums[0] + sums[1]) + (sums[2] + sums[3])).store_unaligned(all.data());
      for (Index j = 0; j < std::min(w, here - first); ++j) put(r + first + j, all[static_cast<std::size_t>(j)]);
    }
    tile += tile_size<T>(here, depth);
  }
}

template <Real T>
T* allocate(Index count) {
  return static_cast<T*>(::operator new[](static_cast<std::size_t>(count) * sizeof(T), std::align_val_t{alignment}));
}

/// The product, `at_once` rows at a time.
template <Real T, class A, class Right>
void multiply(Trans ta, const A& a, const Right& b, View<T> c, const T* bias, const Addend<T>& addend, Index at_once) {
  const Index depth = ta == Trans::yes ? a.rows : a.cols;
  if (depth == 0)
    for (Index r = 0; r < c.rows; ++r) {
      if (!addend.any) std::fill_n(c.row(r), c.cols, T(0));
      if (addend.rows != nullptr) std::copy_n(addend.rows[r] + addend.column, c.cols, c.row(r));
      if (bias != nullptr) simd::add_scaled(T(1), bias, c.row(r), c.cols);
    }
  if (c.cols == 0) return;
  const Parts panels = panels_of<T>(c.cols);
  const Index in_panels = c.cols - lone<T>(c.cols);
  const Index tile_height = rows_by_registers[std::max(panels[0], Index{1}) - 1];
  const Parts stretches(depth, depth_block);
  for (Index m = 0; m < c.rows; m += at_once)
    for (Index s = 0, k = 0; s < stretches.count; k += stretches[s++]) {
      const Index rows = std::min(at_once, c.rows - m), here = stretches[s];
      const Left<T> left = left_of<T>(ta, a, m, k, here, Parts(rows, tile_height), rows);
      const auto addend_of = [&](Index n) {
        if (k > 0) return Addend<T>(true);
        return addend.rows == nullptr ? addend : Addend<T>(addend.rows + m, addend.column + n);
      };
      const auto bias_of = [&](Index n) { return bias == nullptr || k > 0 ? nullptr : bias + n; };
      for (Index p = 0, n = 0; p < panels.count; n += panels[p++] * lanes<T>) {
        const Index cols = std::min(panels[p] * lanes<T>, in_panels - n);
        const Panel<T> right = b.panel(n, cols, k, here);
        const Addend<T> from = addend_of(n);
        panel_rows<T>({nullptr, 0, 0, right.rows, right.row, c.row(m) + n, c.stride, here, bias_of(n), from.any,
                       from.rows, from.column, right.next, right.packed},
                      left, cols);
      }
      for (Index n = in_panels; n < c.cols; ++n)
        lone_column<T>(left, b.column(n, k, here), here, c.row(m) + n, c.stride, bias_of(n), addend_of(n));
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
void gemm(Trans ta, View<const T> a, Trans tb, View<const T> b, View<T> c, std::type_identity_t<Addend<T>> addend,
          const T* bias) {
  alignas(alignment) OnePanel<T> packed;
  multiply<T>(ta, a, PlainRight<T>{tb, b, c.rows, packed}, c, bias, addend, row_block_that_packs);
}

template <Real T>
void gemm(Trans ta, View<const T> a, const Packed<T>& b, View<T> c, std::type_identity_t<Addend<T>> addend,
          const T* bias) {
  multiply<T>(ta, a, PackedRight<T>{b}, c, bias, addend, row_block);
}

template <Real T>
void gemm_rows(const RowList<T>& a, View<const T> b, View<T> c, bool accumulate) {
  alignas(alignment) OnePanel<T> packed;
  multiply<T>(Trans::yes, a, PlainRight<T>{Trans::no, b, c.rows, packed}, c, nullptr, accumulate, row_block_that_packs);
}

template <Real T>
void gemm_rows(const RowList<T>& a, const RowList<T>& b, View<T> c, bool accumulate) {
  alignas(alignment) OnePanel<T> packed;
  multiply<T>(Trans::yes, a, ListedRight<T>{b, packed}, c, nullptr, accumulate, row_block_that_packs);
}

template <Real T>
void Packed<T>::Free::operator()(T* memory) const {
  ::operator delete[](memory, std::align_val_t{alignment});
}

template <Real T>
void Packed<T>::assign(Trans tb, View<const T> b) {
  rows_ = tb == Trans::yes ? b.cols : b.rows;
  cols_ = tb == Trans::yes ? b.rows : b.cols;
  const Index in_panels = cols_ - lone<T>(cols_), size = rows_ * (padded<T>(in_panels) + lone<T>(cols_));
  if (size > capacity_) {
    data_.reset(allocate<T>(size));
    capacity_ = size;
  }
  const Parts panels = panels_of<T>(cols_);
  for (Index p = 0, n = 0; p < panels.count; n += panels[p++] * lanes<T>)
    pack(tb, b, n, std::min(panels[p] * lanes<T>, in_panels - n), 0, rows_, data_.get() + n * rows_);
  T* to = data_.get() + padded<T>(in_panels) * rows_;
  for (Index n = in_panels; n < cols_; ++n, to += rows_)
    if (tb == Trans::yes)
      std::copy_n(b.row(n), rows_, to);
    else
      pack_column<T>(b, n, 0, rows_, to);
}

template void gemm(Trans, View<const float>, Trans, View<const float>, View<float>, Addend<float>, const float*);
template void gemm(Trans, View<const double>, Trans, View<const double>, View<double>, Addend<double>, const double*);
template void gemm(Trans, View<const float>, const Packed<float>&, View<float>, Addend<float>, const float*);
template void gemm(Trans, View<const double>, const Packed<double>&, View<double>, Addend<double>, const double*);
template void gemm_rows(const RowList<float>&, View<const float>, View<float>, bool);
template void gemm_rows(const RowList<double>&, View<const double>, View<double>, bool);
template void gemm_rows(const RowList<float>&, const RowList<float>&, View<float>, bool);
template void gemm_rows(const RowList<double>&, const RowList<double>&, View<double>, bool);
template void gemm_naive(Trans, View<const float>, Trans, View<const float>, View<float>, bool);
template void gemm_naive(Trans, View<const double>, Trans, View<const double>, View<double>, bool);
template class Packed<float>;
template class Packed<double>;

}  // namespace unroll::inline UNROLL_ISA
