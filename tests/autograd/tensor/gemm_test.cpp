#include <doctest/doctest.h>

#include <unroll/autograd/tensor/gemm.h>
#include <unroll/autograd/tensor/rng.h>

using namespace unroll;

namespace {

enum class Kernel { chosen, tiled };

/// A matrix inside a larger array, so that its rows lie apart and writes beside it show.
template <Real T>
struct Framed {
  Index rows, cols, stride;
  std::vector<T> memory;

  Framed(Index rows, Index cols, Index gap, Rng& rng) : rows(rows), cols(cols), stride(cols + gap) {
    memory.resize(static_cast<std::size_t>(rows * stride + gap + 8));
    for (T& x : memory) x = static_cast<T>(rng.uniform(-1.0, 1.0));
  }
  View<T> view() { return {memory.data() + 3, rows, cols, stride}; }
};

/// The largest error against the loops run in double, in units in the last place of a sum of `depth` terms below 1;
/// infinite if anything beside the matrix changed.
template <Real T>
double error(Kernel kernel, bool ta, bool tb, Index m, Index k, Index n, Index gap, bool accumulate,
             bool poison = false) {
  Rng rng(static_cast<std::uint64_t>(m * 10007 + k * 101 + n));
  Framed<T> a(ta ? k : m, ta ? m : k, gap, rng), b(tb ? n : k, tb ? k : n, gap, rng), c(m, n, gap, rng);
  if (poison)
    for (Index r = 0; r < m; ++r) std::fill_n(c.view().row(r), n, static_cast<T>(NAN));
  const auto in_double = [](const Framed<T>& f) { return std::vector<double>(f.memory.begin(), f.memory.end()); };
  const auto da = in_double(a), db = in_double(b);
  auto dc = in_double(c);
  const auto look = [](auto& memory, const Framed<T>& f) {
    return View<const double>{memory.data() + 3, f.rows, f.cols, f.stride};
  };
  gemm_naive<double>(Trans{ta}, look(da, a), Trans{tb}, look(db, b), {dc.data() + 3, m, n, c.stride}, accumulate);
  auto* const run = kernel == Kernel::chosen ? &gemm<T> : &gemm_tiled<T>;
  run(Trans{ta}, a.view(), Trans{tb}, b.view(), c.view(), accumulate);
  double worst = 0;
  const double unit = std::numeric_limits<T>::epsilon() * static_cast<double>(k + 1);
  for (std::size_t i = 0; i < dc.size(); ++i) {
    const Index at = static_cast<Index>(i) - 3;
    const bool inside = at >= 0 && at < m * c.stride && at % c.stride < n;
    const double off = std::abs(static_cast<double>(c.memory[i]) - dc[i]);
    if (!inside && off != 0) return INFINITY;
    if (!(off <= 1e300)) return INFINITY;
    worst = std::max(worst, off / unit);
  }
  return worst;
}

template <Real T>
double worst_of(Kernel kernel, Index m, Index k, Index n, Index gap) {
  double worst = 0;
  for (const bool ta : {false, true})
    for (const bool tb : {false, true})
      for (const bool accumulate : {false, true})
        worst = std::max(worst, error<T>(kernel, ta, tb, m, k, n, gap, accumulate));
  return worst;
}

}  // namespace

TEST_CASE_TEMPLATE("gemm: the tiled kernel agrees with three loops at every small size", T, float, double) {
  for (const Index m : {1, 2, 5, 6, 7, 8, 9, 13, 16, 17, 40})
    for (const Index k : {1, 2, 3, 8, 17, 40})
      for (Index n = 1; n <= 40; ++n) {
        CAPTURE(m);
        CAPTURE(k);
        CAPTURE(n);
        CHECK(worst_of<T>(Kernel::tiled, m, k, n, n % 2 == 0 ? 0 : 5) <= 1);
      }
}

TEST_CASE_TEMPLATE("gemm: every row count, and depths on both sides of a block", T, float, double) {
  for (Index m = 1; m <= 40; ++m) CHECK(worst_of<T>(Kernel::tiled, m, 5, 33, 2) <= 1);
  for (const Index k : {255, 256, 257, 511, 513}) CHECK(worst_of<T>(Kernel::tiled, 9, k, 35, 3) <= 1);
  CHECK(worst_of<T>(Kernel::tiled, 70, 300, 65, 1) <= 1);
}

TEST_CASE_TEMPLATE("gemm: the chosen kernel agrees with three loops, oneDNN's sizes included", T, float, double) {
  for (const std::array<Index, 3>& mkn : {std::array<Index, 3>{1, 64, 128},
                                          {2, 64, 128},
                                          {3, 128, 65},
                                          {50, 90, 100},
                                          {17, 8192, 1},
                                          {2, 1, 8192},
                                          {33, 300, 41},
                                          {128, 128, 130},
                                          {7, 20, 30},
                                          {1, 1, 1}}) {
    CAPTURE(mkn[0]);
    CAPTURE(mkn[1]);
    CAPTURE(mkn[2]);
    CHECK(worst_of<T>(Kernel::chosen, mkn[0], mkn[1], mkn[2], 0) <= 1);
    CHECK(worst_of<T>(Kernel::chosen, mkn[0], mkn[1], mkn[2], 5) <= 1);
  }
}

TEST_CASE_TEMPLATE("gemm: what was in C is not read unless it is accumulated onto", T, float, double) {
  for (const Kernel kernel : {Kernel::chosen, Kernel::tiled})
    for (const std::array<Index, 3>& mkn :
         {std::array<Index, 3>{5, 4, 3}, {9, 300, 33}, {64, 128, 128}, {3, 0, 2}, {2, 0, 20000}})
      CHECK(error<T>(kernel, false, false, mkn[0], mkn[1], mkn[2], 2, false, true) <= 1);
}

TEST_CASE_TEMPLATE("gemm: products of nothing", T, float, double) {
  for (const bool accumulate : {false, true}) {
    CHECK(error<T>(Kernel::chosen, false, false, 0, 3, 4, 1, accumulate) == 0);
    CHECK(error<T>(Kernel::chosen, false, false, 3, 4, 0, 1, accumulate) == 0);
    CHECK(error<T>(Kernel::chosen, true, true, 3, 0, 4, 1, accumulate) == 0);
  }
}

TEST_CASE_TEMPLATE("gemm: NaN and infinity come through", T, float, double) {
  for (const Index n : {3, 128}) {
    Rng rng(1);
    Framed<T> a(4, n, 0, rng), b(n, n, 0, rng), c(4, n, 0, rng);
    a.view().row(1)[n - 1] = static_cast<T>(NAN);
    a.view().row(2)[0] = std::numeric_limits<T>::infinity();
    gemm<T>(Trans::no, a.view(), Trans::no, b.view(), c.view(), false);
    for (Index j = 0; j < n; ++j) {
      CHECK(std::isfinite(c.view().row(0)[j]));
      CHECK(std::isnan(c.view().row(1)[j]));
      CHECK(std::isinf(c.view().row(2)[j]));
    }
  }
}

TEST_CASE_TEMPLATE("gemm: transpose moves every element, of strided matrices too", T, float, double) {
  for (const std::array<Index, 2>& mn : {std::array<Index, 2>{1, 1}, {3, 5}, {16, 16}, {17, 33}, {100, 7}, {0, 4}}) {
    Rng rng(2);
    Framed<T> a(mn[0], mn[1], 3, rng), b(mn[1], mn[0], 2, rng);
    transpose<T>(a.view(), b.view());
    bool same = true;
    for (Index r = 0; r < mn[0]; ++r)
      for (Index c = 0; c < mn[1]; ++c) same = same && a.view().row(r)[c] == b.view().row(c)[r];
    CHECK(same);
  }
}
