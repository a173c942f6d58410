#include <unroll/autograd/tensor/gemm.h>
#include <unroll/autograd/tensor/simd.h>

#ifdef UNROLL_ONEDNN
#include <dlfcn.h>
#include <dnnl.h>
#endif

namespace unroll::inline UNROLL_ISA {
namespace {

// Rows and registers of one tile of C: they fill the register file without spilling.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int tile_rows = 8;
#else
constexpr int tile_rows = 6;
#endif
constexpr Index depth_block = 256;

template <Real T>
constexpr Index panel = 2 * lanes<T>;

/// C tile (R rows, one panel) += A (R rows, `depth` elements) B (depth, one panel).
template <Real T, int R>
void tile(const T* a, Index a_row, Index a_depth, const T* b, Index ldb, T* c, Index ldc, Index depth, bool load_c) {
  constexpr Index w = lanes<T>;
  Batch<T> acc[R][2];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < 2; ++v) acc[r][v] = load_c ? Batch<T>::load_unaligned(c + r * ldc + v * w) : Batch<T>(T(0));
  for (Index k = 0; k < depth; ++k) {
    const Batch<T> b0 = Batch<T>::load_unaligned(b + k * ldb);
    const Batch<T> b1 = Batch<T>::load_unaligned(b + k * ldb + w);
    for (int r = 0; r < R; ++r) {
      const Batch<T> x(a[r * a_row + k * a_depth]);
      acc[r][0] = xsimd::fma(x, b0, acc[r][0]);
      acc[r][1] = xsimd::fma(x, b1, acc[r][1]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < 2; ++v) acc[r][v].store_unaligned(c + r * ldc + v * w);
}

template <Real T, int R = tile_rows - 1>
void last_rows(Index rows, const T* a, Index a_row, Index a_depth, const T* b, Index ldb, T* c, Index ldc, Index depth,
               bool load_c) {
  if constexpr (R > 0) {
    if (rows == R)
      tile<T, R>(a, a_row, a_depth, b, ldb, c, ldc, depth, load_c);
    else
      last_rows<T, R - 1>(rows, a, a_row, a_depth, b, ldb, c, ldc, depth, load_c);
  }
}

template <Real T>
void panel_rows(Index rows, const T* a, Index a_row, Index a_depth, const T* b, Index ldb, T* c, Index ldc, Index depth,
                bool load_c) {
  Index r = 0;
  for (; r + tile_rows <= rows; r += tile_rows)
    tile<T, tile_rows>(a + r * a_row, a_row, a_depth, b, ldb, c + r * ldc, ldc, depth, load_c);
  if (r < rows) last_rows<T>(rows - r, a + r * a_row, a_row, a_depth, b, ldb, c + r * ldc, ldc, depth, load_c);
}

template <Real T>
void fill_zero(View<T> c) {
  for (Index r = 0; r < c.rows; ++r) std::fill_n(c.row(r), c.cols, T(0));
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
void gemm_tiled(Trans ta, View<const T> a, Trans tb, View<const T> b, View<T> c, bool accumulate) {
  constexpr Index width = panel<T>;
  const Index depth = ta == Trans::yes ? a.rows : a.cols;
  const Index a_row = ta == Trans::yes ? 1 : a.stride, a_depth = ta == Trans::yes ? a.stride : 1;
  if (depth == 0 && !accumulate) fill_zero(c);
  alignas(64) T packed[depth_block * width];
  for (Index n = 0; n < c.cols; n += width) {
    const Index cols = std::min(width, c.cols - n);
    for (Index k0 = 0; k0 < depth; k0 += depth_block) {
      const Index depth_here = std::min(depth_block, depth - k0);
      const T* panel_of_b = nullptr;
      Index ldb = width;
      if (tb == Trans::no && cols == width && c.rows < 64) {
        panel_of_b = b.row(k0) + n;
        ldb = b.stride;
      } else {
        for (Index k = 0; k < depth_here; ++k)
          for (Index j = 0; j < width; ++j)
            packed[k * width + j] = j >= cols ? T(0) : tb == Trans::yes ? b.row(n + j)[k0 + k] : b.row(k0 + k)[n + j];
        panel_of_b = packed;
      }
      const T* a_block = a.data + k0 * a_depth;
      const bool load_c = accumulate || k0 > 0;
      if (cols == width) {
        panel_rows<T>(c.rows, a_block, a_row, a_depth, panel_of_b, ldb, c.data + n, c.stride, depth_here, load_c);
        continue;
      }
      alignas(64) T edge[tile_rows * width];
      for (Index r = 0; r < c.rows; r += tile_rows) {
        const Index rows = std::min<Index>(tile_rows, c.rows - r);
        for (Index i = 0; load_c && i < rows; ++i) std::copy_n(c.row(r + i) + n, cols, edge + i * width);
        panel_rows<T>(rows, a_block + r * a_row, a_row, a_depth, panel_of_b, ldb, edge, width, depth_here, load_c);
        for (Index i = 0; i < rows; ++i) std::copy_n(edge + i * width, cols, c.row(r + i) + n);
      }
    }
  }
}

#ifdef UNROLL_ONEDNN
namespace {

/// Keeps oneDNN's OpenMP to the calling thread, and gives the caller its setting back.
class OneThread {
 public:
  OneThread() {
    if (get && set && (before_ = get()) != 1) set(1);
  }
  ~OneThread() {
    if (get && set && before_ != 1) set(before_);
  }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  // Looked up, not linked: only a oneDNN built for OpenMP brings it.
  static inline const auto get = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "omp_get_max_threads"));
  static inline const auto set = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
  int before_ = 1;
};

// Below this many weights the cost of a call shows and the tiled kernel is faster.
constexpr Index onednn_weights = 8192;

}  // namespace
#endif

template <Real T>
void gemm(Trans ta, View<const T> a, Trans tb, View<const T> b, View<T> c, bool accumulate) {
  if (c.size() == 0) return;
#ifdef UNROLL_ONEDNN
  if constexpr (std::same_as<T, float>) {
    const Index depth = ta == Trans::yes ? a.rows : a.cols;
    if (depth * c.cols >= onednn_weights && c.rows > 1) {
      const OneThread one_thread;
      const auto status =
          dnnl_sgemm(ta == Trans::yes ? 'T' : 'N', tb == Trans::yes ? 'T' : 'N', c.rows, c.cols, depth, 1.0F, a.data,
                     a.stride, b.data, b.stride, accumulate ? 1.0F : 0.0F, c.data, c.stride);
      if (status == dnnl_success) return;
    }
  }
#endif
  gemm_tiled(ta, a, tb, b, c, accumulate);
}

template <Real T>
void transpose(View<const T> a, View<T> b) {
  constexpr Index block = 16;
  for (Index r0 = 0; r0 < a.rows; r0 += block)
    for (Index c0 = 0; c0 < a.cols; c0 += block)
      for (Index r = r0; r < std::min(a.rows, r0 + block); ++r)
        for (Index c = c0; c < std::min(a.cols, c0 + block); ++c) b.row(c)[r] = a.row(r)[c];
}

template void gemm(Trans, View<const float>, Trans, View<const float>, View<float>, bool);
template void gemm(Trans, View<const double>, Trans, View<const double>, View<double>, bool);
template void gemm_tiled(Trans, View<const float>, Trans, View<const float>, View<float>, bool);
template void gemm_tiled(Trans, View<const double>, Trans, View<const double>, View<double>, bool);
template void gemm_naive(Trans, View<const float>, Trans, View<const float>, View<float>, bool);
template void gemm_naive(Trans, View<const double>, Trans, View<const double>, View<double>, bool);
template void transpose(View<const float>, View<float>);
template void transpose(View<const double>, View<double>);

}  // namespace unroll::inline UNROLL_ISA
