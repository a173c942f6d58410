#include <doctest/doctest.h>

#include <unroll/autograd/ops/line_sum.h>
#include <unroll/autograd/tensor/exponential.h>
#include <unroll/autograd/tensor/rng.h>

using namespace unroll;

// The functions rules are made of, against `std` in long double: the bounds below are what gradients, tolerances and
// the README rely on: what xsimd 8.1 was measured to do, and a tenth.

namespace {

/// |got - want| in units in the last place of `want`; below the smallest normal number its unit counts, since small
/// results may be flushed to zero.
template <Real T>
double ulps(T got, long double want) {
  const T nearest = static_cast<T>(want);
  if (std::isnan(want) || std::isnan(got)) return std::isnan(want) && std::isnan(got) ? 0 : INFINITY;
  if (std::isinf(nearest) || std::isinf(got)) return got == nearest ? 0 : INFINITY;
  const T size = std::max(std::abs(nearest), std::numeric_limits<T>::min());
  const long double unit = std::ldexp(1.0L, std::ilogb(size) - std::numeric_limits<T>::digits + 1);
  return static_cast<double>(std::abs(static_cast<long double>(got) - want) / unit);
}

/// `f` of one number, in every lane of a register.
template <Real T, class F>
T in_register(T x, F f) {
  std::array<T, static_cast<std::size_t>(lanes<T>)> y;
  f(Batch<T>(x)).store_unaligned(y.data());
  for (const T lane : y) CHECK((lane == y[0] || std::isnan(y[0])));
  return y[0];
}

/// The worst error over low .. high, half of the points spread evenly and half by magnitude.
template <Real T, class F, class R>
double worst_ulps(F f, R reference, double low, double high) {
  Rng rng(17);
  double worst = 0;
  std::array<T, static_cast<std::size_t>(lanes<T>)> x, y;
  for (int k = 0; k < 4000; ++k) {
    for (T& v : x) {
      double drawn = rng.uniform(low, high);
      if (k % 2 == 1) {
        const double end = rng.uniform() < 0.5 ? low : high;
        const double least = low * high > 0 ? std::min(std::abs(low), std::abs(high)) : 1e-30;
        const double size = least * std::pow(std::abs(end) / least, rng.uniform());
        if (end != 0) drawn = std::clamp(std::copysign(size, end), low, high);
      }
      v = static_cast<T>(drawn);
    }
    f(Batch<T>::load_unaligned(x.data())).store_unaligned(y.data());
    for (std::size_t i = 0; i < x.size(); ++i)
      worst = std::max(worst, ulps(y[i], reference(static_cast<long double>(x[i]))));
  }
  return worst;
}

long double sigmoid_of(long double x) { return 1 / (1 + std::exp(-x)); }

template <class F, class R>
void expect(const std::string& name, F f, R reference, double low, double high, double in_float, double in_double) {
  INFO(name, " from ", low, " to ", high);
  CHECK(worst_ulps<float>(f, reference, low, high) <= in_float);
  CHECK(worst_ulps<double>(f, reference, low, high) <= in_double);
}

constexpr auto exp_of = [](auto x) { return math::exp(x); };
constexpr auto expm1_of = [](auto x) { return math::expm1(x); };
constexpr auto log_of = [](auto x) { return math::log(x); };
constexpr auto log1p_of = [](auto x) { return math::log1p(x); };
constexpr auto sin_of = [](auto x) { return math::sin(x); };
constexpr auto cos_of = [](auto x) { return math::cos(x); };
constexpr auto erf_of = [](auto x) { return math::erf(x); };
constexpr auto sqrt_of = [](auto x) { return math::sqrt(x); };
constexpr auto tanh_of = [](auto x) { return math::tanh(x); };
constexpr auto our_sigmoid = [](auto x) { return math::sigmoid(x); };

}  // namespace

TEST_CASE("simd: every function is within its bound in units in the last place") {
  const auto e = [](long double x) { return std::exp(x); };
  expect("exp", exp_of, e, -1, 1, 1.5, 1);
  expect("exp", exp_of, e, -87, 88, 1.6, 1);
  const auto em1 = [](long double x) { return std::expm1(x); };
  expect("expm1", expm1_of, em1, -1e-3, 1e-3, 0.6, 0.6);
  expect("expm1", expm1_of, em1, -1, 1, 1.5, 1.5);
  expect("expm1", expm1_of, em1, -87, 88, 2.1, 2.1);
  const auto l = [](long double x) { return std::log(x); };
  expect("log", log_of, l, 0.5, 2, 0.9, 0.9);
  expect("log", log_of, l, 1e-37, 1e37, 0.9, 0.9);
  const auto l1p = [](long double x) { return std::log1p(x); };
  expect("log1p", log1p_of, l1p, -1e-3, 1e-3, 0.9, 0.8);  // 0.87 on ARM, for its division
  expect("log1p", log1p_of, l1p, -0.99999, 1e30, 0.9, 0.9);
  const auto s = [](long double x) { return std::sin(x); };
  expect("sin", sin_of, s, -10, 10, 1.7, 1.6);
  expect("sin", sin_of, s, -1e6, 1e6, 1.7, 2.6);
  const auto c = [](long double x) { return std::cos(x); };
  expect("cos", cos_of, c, -10, 10, 1.7, 1.6);
  expect("cos", cos_of, c, -1e6, 1e6, 1.7, 2.6);
  const auto r = [](long double x) { return std::sqrt(x); };
  expect("sqrt", sqrt_of, r, 0, 1e30, 0.5001, 0.5001);
  const auto th = [](long double x) { return std::tanh(x); };
  expect("tanh", tanh_of, th, -1e-3, 1e-3, 1.6, 1.6);
  expect("tanh", tanh_of, th, -1, 1, 2.5, 2.5);
  expect("tanh", tanh_of, th, -1000, 1000, 4.1, 4.1);
  expect("sigmoid", our_sigmoid, sigmoid_of, -10, 10, 2.8, 2.8);
  expect("sigmoid", our_sigmoid, sigmoid_of, -87, 87, 2.8, 2.8);
}

TEST_CASE("simd: exp, sigmoid and tanh keep to their stated errors over the floats") {
  // Every 1009th float of either sign, which meets every exponent some 8,300 times.
  struct Function {
    const char* name;
    Batch<float> (*approximate)(Batch<float>);
    double (*exact)(double);
    double bound;
  };
  const Function functions[] = {
      {"exp", [](Batch<float> x) { return math::exp(x); }, [](double x) { return std::exp(x); }, 1.1},
      {"sigmoid", [](Batch<float> x) { return math::sigmoid(x); }, [](double x) { return 1 / (1 + std::exp(-x)); },
       2.5},
      {"tanh", [](Batch<float> x) { return math::tanh(x); }, [](double x) { return std::tanh(x); }, 1.4},
  };
  constexpr auto width = static_cast<std::size_t>(lanes<float>);
  for (const Function& f : functions) {
    double worst = 0;
    float at = 0;
    std::array<float, width> in, out;
    for (std::uint64_t bits = 0; bits < 0x7f800000; bits += 1009 * width)
      for (const std::uint32_t sign : {0U, 0x80000000U}) {
        for (std::size_t i = 0; i < width; ++i)
          in[i] = std::bit_cast<float>(
              static_cast<std::uint32_t>(std::min<std::uint64_t>(bits + 1009 * i, 0x7f7fffff)) | sign);
        // Beyond, the results are 0, 1 or infinity, which the exact functions take long to say.
        if (std::abs(in[0]) > 200) continue;
        f.approximate(Batch<float>::load_unaligned(in.data())).store_unaligned(out.data());
        for (std::size_t i = 0; i < width; ++i) {
          const double exact = f.exact(static_cast<double>(in[i]));
          if (std::abs(exact) < std::numeric_limits<float>::min() || exact > std::numeric_limits<float>::max())
            continue;
          const auto nearest = static_cast<float>(exact);
          const double unit =
              static_cast<double>(std::nextafter(std::abs(nearest), INFINITY)) - std::abs(static_cast<double>(nearest));
          const double off = std::abs(static_cast<double>(out[i]) - exact) / unit;
          if (!(off <= worst)) worst = off, at = in[i];
        }
      }
    INFO(f.name, " is ", worst, " ulp off at ", at);
    CHECK(worst <= f.bound);
    CHECK(worst > f.bound / 2);
  }
}

TEST_CASE("simd: tanh of a float is odd, to the bit") {
  for (const float x : {0.0F, 1e-40F, 1e-3F, 0.625F, 0.7F, 5.0F, 20.0F, INFINITY}) {
    CAPTURE(x);
    CHECK(std::bit_cast<std::uint32_t>(in_register(-x, tanh_of)) ==
          (std::bit_cast<std::uint32_t>(in_register(x, tanh_of)) ^ 0x80000000U));
  }
}

TEST_CASE("simd: erf of a double is xsimd's weakest function") {
  const auto er = [](long double x) { return std::erf(x); };
  expect("erf", erf_of, er, -1, 1, 2.6, 27);
  expect("erf", erf_of, er, -10, 10, 2.6, 75);
}

TEST_CASE("simd: limits, NaN and the numbers between which xsimd rounds to zero or infinity") {
  const auto same = [](double x, auto f, auto reference) {
    CAPTURE(x);
    CHECK(ulps(in_register(static_cast<float>(x), f), reference(static_cast<long double>(static_cast<float>(x)))) < 5);
    CHECK(ulps(in_register(x, f), reference(static_cast<long double>(x))) < 5);
  };
  for (const double x : {0.0, -0.0, 1e-40, -1e-40, double(INFINITY), double(-INFINITY), double(NAN)}) {
    same(x, exp_of, [](long double v) { return std::exp(v); });
    same(x, expm1_of, [](long double v) { return std::expm1(v); });
    same(x, log_of, [](long double v) { return std::log(v); });
    same(x, log1p_of, [](long double v) { return std::log1p(v); });
    same(x, sqrt_of, [](long double v) { return std::sqrt(v); });
    same(x, tanh_of, [](long double v) { return std::tanh(v); });
    same(x, our_sigmoid, sigmoid_of);
  }
  for (const double x : {-1.0, -2.0}) same(x, log1p_of, [](long double v) { return std::log1p(v); });
  same(NAN, sin_of, [](long double v) { return std::sin(v); });
  same(INFINITY, cos_of, [](long double v) { return std::cos(v); });
  CHECK(in_register(0.0, erf_of) == 0);
  CHECK(in_register(-double(INFINITY), erf_of) == -1);
  CHECK(std::isnan(in_register(double(NAN), erf_of)));
  // Of a double, e^x is infinite a little early, from 709.4 instead of 709.8; the logarithm of a subnormal double is
  // only somewhere below that of the smallest normal one.
  CHECK(in_register(709.0, exp_of) == doctest::Approx(std::exp(709.0)));
  for (const float x : {-104.5F, -103.0F, -100.0F, -88.0F, 88.72F, 88.73F, 1e30F, -1e30F})
    CHECK(ulps(in_register(x, exp_of), std::exp(static_cast<long double>(x))) < 1.2);
  CHECK(in_register(1e-310, log_of) < -708);
}

TEST_CASE_TEMPLATE("simd: a register and a scalar choose alike", T, float, double) {
  const T inf = std::numeric_limits<T>::infinity();
  for (const T a : {T(-2), T(0), T(3), inf, -inf})
    for (const T b : {T(-2), T(0), T(3), inf, -inf}) {
      CHECK(in_register(a, [&](auto x) { return math::max(x, Batch<T>(b)); }) == math::max(a, b));
      CHECK(in_register(a, [&](auto x) { return math::min(x, Batch<T>(b)); }) == math::min(a, b));
      CHECK(in_register(a, [&](auto x) { return math::select(x < Batch<T>(b), x, Batch<T>(7)); }) ==
            math::select(a < b, a, T(7)));
    }
  // The first operand's NaN wins: max(x, 0) keeps it.
  CHECK(std::isnan(math::max(T(NAN), T(0))));
  CHECK(std::isnan(in_register(T(NAN), [](auto x) { return math::max(x, Batch<T>(T(0))); })));
  CHECK(std::isnan(in_register(T(NAN), [](auto x) { return math::min(x, Batch<T>(T(0))); })));
}

TEST_CASE_TEMPLATE("simd: sums, products, maps and scaled sums of every length", T, float, double) {
  for (Index n = 0; n <= 6 * lanes<T> + 1; ++n) {
    std::vector<T> x(static_cast<std::size_t>(n) + 1, T(99)), y = x, z = x;  // one beyond: must stay
    T total = 0, product = 0, largest = -std::numeric_limits<T>::infinity();
    for (Index i = 0; i < n; ++i) {
      const auto at = static_cast<std::size_t>(i);
      x[at] = static_cast<T>((i * 7) % 11 - 5);
      y[at] = static_cast<T>(i % 5);
      total += x[at];
      product += x[at] * y[at];
      largest = std::max(largest, x[at]);
    }
    CHECK(simd::sum(x.data(), n) == total);
    CHECK(simd::dot(x.data(), y.data(), n) == product);
    CHECK(simd::max(x.data(), n) == largest);
    simd::map(x.data(), z.data(), n, [](auto v) { return v * v; });
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) CHECK(z[i] == x[i] * x[i]);
    std::vector<T> w = x;
    simd::map(w.data(), w.data(), n, [](auto v) { return v * v; });
    CHECK(std::equal(w.begin(), w.end() - 1, z.begin()));
    CHECK(w.back() == 99);
    simd::add_scaled(T(2), x.data(), y.data(), n);
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) CHECK(y[i] == static_cast<T>(i % 5) + 2 * x[i]);
    CHECK(z[static_cast<std::size_t>(n)] == 99);
    CHECK(y[static_cast<std::size_t>(n)] == 99);
  }
  for (const Index n : {Index{3}, 2 * lanes<T> + 5, 6 * lanes<T> + 5})
    for (std::size_t at = 0; at < static_cast<std::size_t>(n); ++at) {
      std::vector<T> x(static_cast<std::size_t>(n), T(-3));
      x[at] = T(-2);
      CHECK(simd::max(x.data(), n) == T(-2));
      x[at] = static_cast<T>(NAN);
      CHECK(std::isnan(simd::max(x.data(), n)));
      constexpr T infinity = std::numeric_limits<T>::infinity();
      x[at] = infinity;
      CHECK(simd::max(x.data(), n) == infinity);
      std::fill(x.begin(), x.end(), -infinity);
      CHECK(simd::max(x.data(), n) == -infinity);
      x[at] = std::numeric_limits<T>::lowest();
      CHECK(simd::max(x.data(), n) == std::numeric_limits<T>::lowest());
    }
}

TEST_CASE_TEMPLATE("simd: the sum of rows of every length and number", T, float, double) {
  for (Index n = 0; n <= 17 * lanes<T> + 1; ++n)
    for (const Index rows : {0, 1, 2, 5}) {
      const Index stride = n + 3;
      std::vector<T> x, y(static_cast<std::size_t>(n) + 1, T(2)), expected = y;
      for (Index i = 0; i < rows * stride; ++i) x.push_back(static_cast<T>((i * 7) % 13 - 6));
      for (Index r = 0; r < rows; ++r)
        for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i)
          expected[i] += x[static_cast<std::size_t>(r * stride) + i];
      simd::add_rows(x.data(), stride, rows, y.data(), n);
      REQUIRE(y == expected);
    }
}

TEST_CASE_TEMPLATE("simd: the sum of exponentials of every length, apart and in place", T, float, double) {
  for (Index n = 0; n <= 4 * lanes<T> + 1; ++n) {
    const auto size = static_cast<std::size_t>(n);
    Rng rng(static_cast<std::uint64_t>(n));
    std::vector<T> x(size + 1, T(7)), apart(size + 1, T(99));  // one beyond: must stay
    for (std::size_t i = 0; i < size; ++i) x[i] = static_cast<T>(rng.uniform(-3.0, 2.0));
    std::vector<T> in_place = x;
    double total = 0;
    for (std::size_t i = 0; i < size; ++i) total += std::exp(static_cast<double>(x[i]) - 2);
    const double bound = (static_cast<double>(n) + 4) * std::numeric_limits<T>::epsilon() * total;
    const auto off = [&](T sum) { return std::abs(static_cast<double>(sum) - total); };
    CHECK(off(detail::sum_of_exponentials<T>(x.data(), n, 2)) <= bound);
    CHECK(off(detail::sum_of_exponentials<T>(x.data(), n, 2, apart.data())) <= bound);
    CHECK(off(detail::sum_of_exponentials<T>(in_place.data(), n, 2, in_place.data())) <= bound);
    for (std::size_t i = 0; i < size; ++i) {
      CHECK(ulps(apart[i], std::exp(static_cast<long double>(x[i] - T(2)))) <= 2);
      CHECK(in_place[i] == apart[i]);
    }
    CHECK(apart[size] == 99);
    CHECK(in_place[size] == 7);
  }
}
