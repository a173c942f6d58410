#pragma once

#include <unroll/autograd/tensor/simd.h>

// exp, sigmoid and tanh, for a scalar and for a register. Registers of float have approximations of their own, whose
// largest errors below are in units in the last place of the result, over all floats; registers of double go to
// xsimd, scalars to the standard library.

namespace unroll::inline UNROLL_ISA::math {

using std::exp, std::tanh;
using xsimd::exp;

namespace detail {

template <class A>
using Floats = xsimd::batch<float, A>;

/// y 2^n for whole n between -150 and 128 and y near 1; overflows to infinity and underflows gradually.
template <class A>
[[gnu::always_inline]] inline Floats<A> scale(const Floats<A>& y, const Floats<A>& n) {
#ifdef __AVX512F__
  if constexpr (sizeof(y) == 64) return _mm512_maskz_scalef_ps(0xffff, y, n);  // the plain one warns in g++ 12
#endif
  // In two factors: one alone would leave the range of exponents.
  const auto k = xsimd::to_int(n), half = k >> 1;
  const auto power = [](const auto& e) { return xsimd::bitwise_cast<Floats<A> >((e + 127) << 23); };
  return y * power(half) * power(k - half);
}

/// e^x = 2^n (1 + q) with whole n and 1 + q between the roots of 1/2 and 2. `power` is 2^n for n between -127 (0) and
/// 128 (infinity), and anything beyond.
template <class A>
struct Exponential {
  using V = Floats<A>;
  V n, q, power;

  [[gnu::always_inline]] explicit Exponential(const V& x) {
    using Bits = xsimd::batch<std::int32_t, A>;
    // A float loses its fraction when 1.5 2^23 is added. With 127 more, its lowest bits are the exponent of 2^n.
    const V shift(12582912.0f + 127.0f), shifted = xsimd::fma(x, V(1.44269504088896341f), shift);
    const Bits bits = xsimd::bitwise_cast<Bits>(shifted);
    power = xsimd::bitwise_cast<V>(bits << 23);
#ifdef __FAST_MATH__
    n = xsimd::to_float(bits - xsimd::bitwise_cast<Bits>(shift));  // here the difference could be taken for x log2(e)
#else
    n = shifted - shift;
#endif
    // ln 2 in two parts, the first of so few digits that n times it is exact.
    const V r = xsimd::fnma(n, V(-2.12194440e-4f), xsimd::fnma(n, V(0.693359375f), x)), square = r * r;
    // (e^r - 1 - r) / r^2 by its minimax polynomial on |r| <= ln(2) / 2, relative to e^r 3e-9; even and odd terms by
    // themselves, for a chain of few steps.
    const V low = xsimd::fma(V(1.6666520631e-1f), r, V(4.9999993448e-1f));
    const V high = xsimd::fma(V(8.3687169191e-3f), r, V(4.1668388052e-2f));
    q = xsimd::fma(xsimd::fma(xsimd::fma(V(1.3814598375e-3f), square, high), square, low), square, r);
  }
  [[gnu::always_inline]] V plus_one() const { return xsimd::fma(power, V(1.0f) + q, V(1.0f)); }
};

}  // namespace detail

/// e^x: 1.1 ulp.
template <class A>
[[gnu::always_inline]] inline detail::Floats<A> exp(const detail::Floats<A>& exponent) {
  using V = detail::Floats<A>;
  // The bounds stand first, so that NaN passes.
  const detail::Exponential<A> e(xsimd::max(V(-104.0f), xsimd::min(V(89.0f), exponent)));
  return detail::scale(V(1.0f) + e.q, e.n);
}

/// 1 / (1 + e^-x), of a register of float: 2.5 ulp where the result is a normal number; limits 0 and 1, NaN stays NaN.
template <class A>
[[gnu::always_inline]] inline detail::Floats<A> sigmoid(const detail::Floats<A>& x) {
  using V = detail::Floats<A>;
  const detail::Exponential<A> e(xsimd::max(V(-87.0f), xsimd::min(V(89.0f), -x)));  // n from -126 to 128
  return math::divide(V(1.0f), e.plus_one());
}
template <class V>
V sigmoid(const V& x) {
  const V e = math::exp(-abs(x));
  const V s = V(1) / (V(1) + e);
  return math::select(x < V(0), e * s, s);
}

/// Hyperbolic tangent, of a register of float: 1.4 ulp.
template <class A>
[[gnu::always_inline]] inline detail::Floats<A> tanh(const detail::Floats<A>& x) {
  using V = detail::Floats<A>;
  const V size = xsimd::abs(x), z = x * x;
  // (tanh(x) / x - 1) / x^2 in x^2 by its minimax polynomial on |x| <= 0.625, relative to tanh(x) / x 4e-9.
  V p = xsimd::fma(V(-5.7170436122e-3f), z, V(2.0650585905e-2f));
  p = xsimd::fma(p, z, V(-5.3743497616e-2f));
  p = xsimd::fma(p, z, V(1.3331491281e-1f));
  p = xsimd::fma(p, z, V(-3.3333283925e-1f));
  const V near = xsimd::fma(p * z, size, size);
  const detail::Exponential<A> e(xsimd::min(V(19.0f), size + size));
  const V far = V(1.0f) - math::divide(V(2.0f), e.plus_one());
  return xsimd::copysign(xsimd::select(size < V(0.625f), near, far), x);
}
template <class A>
xsimd::batch<double, A> tanh(const xsimd::batch<double, A>& x) {
  using V = xsimd::batch<double, A>;
  // By expm1 of -2|x|, which keeps the relative accuracy near zero.
  const V m = expm1(V(-2) * abs(x));
  const V t = -m / (m + V(2));
  return math::select(x < V(0), -t, t);
}

}  // namespace unroll::inline UNROLL_ISA::math
