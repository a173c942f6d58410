#pragma once

// g++ 12 takes the deliberately undefined registers of its own AVX-512 intrinsics for a mistake.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#if defined(__GNUC__) && !defined(__clang__) && !defined(__OPTIMIZE__) && defined(__AVX512BW__)
// Without optimisation these are macros, whose casts xsimd's types do not take.
#include <immintrin.h>
#undef _mm512_mask_blend_epi8
#undef _mm512_mask_blend_epi16
inline __m512i _mm512_mask_blend_epi8(__mmask64 mask, __m512i no, __m512i yes) {
  return _mm512_mask_mov_epi8(no, mask, yes);
}
inline __m512i _mm512_mask_blend_epi16(__mmask32 mask, __m512i no, __m512i yes) {
  return _mm512_mask_mov_epi16(no, mask, yes);
}
#endif
#include <xsimd/xsimd.hpp>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include <unroll/autograd/tensor/shape.h>

// The one door to xsimd. Rules are written once, for a scalar and for a register of them.

namespace unroll::inline UNROLL_ISA {

/// A SIMD register of T, as wide as the instruction set the file is compiled for.
template <Real T>
using Batch = xsimd::batch<T>;

template <Real T>
inline constexpr Index lanes = static_cast<Index>(Batch<T>::size);

namespace detail {

template <class V>
struct ScalarOf {
  using type = V;
};
template <class T, class A>
struct ScalarOf<xsimd::batch<T, A>> {
  using type = T;
};

/// A register as the compiler's own vector, for shuffles that are the same on every machine.
template <Real T>
using Lanes [[gnu::vector_size(static_cast<std::size_t>(lanes<T>) * sizeof(T))]] = T;

/// The register with its elements moved `by` places towards the front, the first ones to the end.
template <int by, Real T>
Batch<T> rotated(const Batch<T>& x) {
  constexpr int w = static_cast<int>(lanes<T>);
  std::array<T, static_cast<std::size_t>(w)> memory;
  x.store_unaligned(memory.data());
  Lanes<T> v;
  std::memcpy(&v, memory.data(), sizeof(v));
  [&]<int... L>(std::integer_sequence<int, L...>) {
    v = __builtin_shufflevector(v, v, ((L + by) % w)...);
  }(std::make_integer_sequence<int, w>());
  std::memcpy(memory.data(), &v, sizeof(v));
  return Batch<T>::load_unaligned(memory.data());
}

/// The largest of the first `among` elements, a power of two.
template <int among, Real T>
T largest_of(const Batch<T>& x) {
  if constexpr (among == 1)
    return x.get(0);
  else
    return largest_of<among / 2, T>(xsimd::max(x, rotated<among / 2, T>(x)));
}

}  // namespace detail

/// The element type of a scalar or of a register.
template <class V>
using scalar_t = typename detail::ScalarOf<V>::type;

/// The functions rules are made of, for a scalar and for a register.
namespace math {

using std::abs, std::cos, std::erf, std::expm1, std::log, std::log1p, std::sin, std::sqrt;
using xsimd::abs, xsimd::cos, xsimd::erf, xsimd::expm1, xsimd::log, xsimd::log1p, xsimd::select, xsimd::sin,
    xsimd::sqrt;

template <Real T>
T max(T a, T b) {
  return a < b ? b : a;
}
template <Real T>
T min(T a, T b) {
  return b < a ? b : a;
}
template <class T, class A>
xsimd::batch<T, A> max(xsimd::batch<T, A> a, xsimd::batch<T, A> b) {
  return xsimd::select(a < b, b, a);
}
template <class T, class A>
xsimd::batch<T, A> min(xsimd::batch<T, A> a, xsimd::batch<T, A> b) {
  return xsimd::select(b < a, b, a);
}

/// a / b. On ARM xsimd's division and square root of floats are estimates, a unit or two in the last place off.
template <class V>
V divide(const V& a, const V& b) {
  return a / b;
}
#ifdef __aarch64__
template <class A>
xsimd::batch<float, A> divide(const xsimd::batch<float, A>& a, const xsimd::batch<float, A>& b) {
  return vdivq_f32(a, b);
}
template <class A>
xsimd::batch<float, A> sqrt(const xsimd::batch<float, A>& x) {
  return vsqrtq_f32(x);
}
#endif

template <Real T>
T select(bool condition, T yes, T no) {
  return condition ? yes : no;
}

}  // namespace math

namespace simd {

/// The sum of a register's elements.
template <class T, class A>
T total(const xsimd::batch<T, A>& x) {
  if constexpr (requires { reduce_add(x); })
    return reduce_add(x);  // xsimd 9 and later
  else
    return hadd(x);
}

template <Real T>
T sum(const T* x, Index n) {
  Batch<T> partial(T(0));
  Index i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) partial += Batch<T>::load_unaligned(x + i);
  T result = total(partial);
  for (; i < n; ++i) result += x[i];
  return result;
}

template <Real T>
T dot(const T* x, const T* y, Index n) {
  Batch<T> partial(T(0));
  Index i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>)
    partial = xsimd::fma(Batch<T>::load_unaligned(x + i), Batch<T>::load_unaligned(y + i), partial);
  T result = total(partial);
  for (; i < n; ++i) result += x[i] * y[i];
  return result;
}

/// The largest element; NaN if there is one, -infinity of nothing.
template <Real T>
T max(const T* x, Index n) {
  constexpr Index w = lanes<T>, at_once = 4;
  if (n < w) {
    T result = -std::numeric_limits<T>::infinity();
    for (Index i = 0; i < n; ++i) result = x[i] > result || x[i] != x[i] ? x[i] : result;
    return result;
  }
  Batch<T> largest[at_once];
  std::fill_n(largest, at_once, Batch<T>::load_unaligned(x + n - w));  // overlaps the one before it
  auto numbers = largest[0] == largest[0];
  const auto take = [&](Index k, const T* at) {
    const Batch<T> v = Batch<T>::load_unaligned(at);
    largest[k] = xsimd::max(largest[k], v);
    numbers = numbers & (v == v);
  };
  Index i = 0;
  for (; i + at_once * w <= n; i += at_once * w)
#pragma GCC unroll 4
    for (Index k = 0; k < at_once; ++k) take(k, x + i + k * w);
  for (; i + w <= n; i += w) take(0, x + i);
  if (!xsimd::all(numbers)) return std::numeric_limits<T>::quiet_NaN();
  return unroll::detail::largest_of<static_cast<int>(w), T>(
      xsimd::max(xsimd::max(largest[0], largest[1]), xsimd::max(largest[2], largest[3])));
}

/// y[i] = f(x[i]), with f of a register and without side effects; y is x or apart from it. A tail runs as a whole
/// register, so that an element's result never depends on its position.
template <Real T, class F>
void map(const T* x, T* y, Index n, F f) {
  constexpr Index w = lanes<T>;
  if (n >= w) {
    const Batch<T> last = Batch<T>::load_unaligned(x + n - w);  // before y is written, which may be x
    for (Index i = 0; i + w <= n; i += w) f(Batch<T>::load_unaligned(x + i)).store_unaligned(y + i);
    if (n % w != 0) f(last).store_unaligned(y + n - w);
  } else if (n > 0) {
    std::array<T, static_cast<std::size_t>(w)> padded;
    padded.fill(x[0]);
    std::copy_n(x, n, padded.begin());
    f(Batch<T>::load_unaligned(padded.data())).store_unaligned(padded.data());
    std::copy_n(padded.begin(), n, y);
  }
}

/// y += a x
template <Real T>
void add_scaled(T a, const T* x, T* y, Index n) {
  const Batch<T> scale(a);
  Index i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>)
    xsimd::fma(scale, Batch<T>::load_unaligned(x + i), Batch<T>::load_unaligned(y + i)).store_unaligned(y + i);
  for (; i < n; ++i) y[i] = std::fma(a, x[i], y[i]);
}

/// y += the sum of `rows` rows, `stride` apart and the first at x.
template <Real T>
void add_rows(const T* x, Index stride, Index rows, T* y, Index n) {
  constexpr Index w = lanes<T>, most = 8;
  const auto add = [&]<int count>(std::integral_constant<int, count>, Index i) {
    Batch<T> sums[count];
    for (Index k = 0; k < count; ++k) sums[k] = Batch<T>::load_unaligned(y + i + k * w);
    for (Index r = 0; r < rows; ++r)
      for (Index k = 0; k < count; ++k) sums[k] += Batch<T>::load_unaligned(x + r * stride + i + k * w);
    for (Index k = 0; k < count; ++k) sums[k].store_unaligned(y + i + k * w);
  };
  Index i = 0;
  for (; i + most * w <= n; i += most * w) add(std::integral_constant<int, most>{}, i);
  for (; i + w <= n; i += w) add(std::integral_constant<int, 1>{}, i);
  for (; i < n; ++i)
    for (Index r = 0; r < rows; ++r) y[i] += x[r * stride + i];
}

/// y += a x, element by element
template <Real T>
void add_product(const T* a, const T* x, T* y, Index n) {
  Index i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>)
    xsimd::fma(Batch<T>::load_unaligned(a + i), Batch<T>::load_unaligned(x + i), Batch<T>::load_unaligned(y + i))
        .store_unaligned(y + i);
  for (; i < n; ++i) y[i] = std::fma(a[i], x[i], y[i]);
}

/// y = a x + b, element by element
template <Real T>
void multiply_add(const T* a, const T* x, const T* b, T* y, Index n) {
  Index i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>)
    xsimd::fma(Batch<T>::load_unaligned(a + i), Batch<T>::load_unaligned(x + i), Batch<T>::load_unaligned(b + i))
        .store_unaligned(y + i);
  for (; i < n; ++i) y[i] = std::fma(a[i], x[i], b[i]);
}

}  // namespace simd
}  // namespace unroll::inline UNROLL_ISA
