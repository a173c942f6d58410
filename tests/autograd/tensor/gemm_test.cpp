#include <doctest/doctest.h>

#include <unroll/autograd/tensor/gemm_rows.h>
#include <unroll/autograd/tensor/rng.h>

using namespace unroll;

namespace {

/// Whether the right operand was packed before.
enum class Right { plain, packed };

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
double error(Right right, bool ta, bool tb, Index m, Index k, Index n, Index gap, bool accumulate,
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
  if (right == Right::packed) {
    Packed<T> packed;
    packed.assign(Trans{tb}, b.view());
    gemm<T>(Trans{ta}, a.view(), packed, c.view(), accumulate);
  } else {
    gemm<T>(Trans{ta}, a.view(), Trans{tb}, b.view(), c.view(), accumulate);
  }
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
double worst_of(Right right, Index m, Index k, Index n, Index gap) {
  double worst = 0;
  for (const bool ta : {false, true})
    for (const bool tb : {false, true})
      for (const bool accumulate : {false, true})
        worst = std::max(worst, error<T>(right, ta, tb, m, k, n, gap, accumulate));
  return worst;
}

}  // namespace

TEST_CASE_TEMPLATE("gemm: agrees with three loops at every small size", T, float, double) {
  for (const Right right : {Right::plain, Right::packed})
    for (const Index m : {1, 2, 5, 6, 7, 8, 9, 13, 16, 17, 40})
      for (const Index k : {1, 2, 3, 8, 17, 40})
        for (Index n = 1; n <= 70; n += n < 40 ? 1 : 5) {
          CAPTURE(m);
          CAPTURE(k);
          CAPTURE(n);
          CHECK(worst_of<T>(right, m, k, n, n % 2 == 0 ? 0 : 5) <= 1);
        }
}

TEST_CASE_TEMPLATE("gemm: every row count, and depths and widths on both sides of a block", T, float, double) {
  for (const Right right : {Right::plain, Right::packed}) {
    for (Index m = 1; m <= 40; ++m)
      for (const Index n : {5, 16, 33, 64}) CHECK(worst_of<T>(right, m, 5, n, 2) <= 1);
    for (const Index k : {511, 512, 513, 1024, 1025}) CHECK(worst_of<T>(right, 9, k, 35, 3) <= 1);
    for (const std::array<Index, 3>& mkn : {std::array<Index, 3>{513, 20, 65},
                                            {800, 520, 33},
                                            {70, 300, 65},
                                            {17, 8192, 1},
                                            {2, 1, 8192},
                                            {128, 128, 130},
                                            {33, 1100, 300},
                                            {1, 1, 1}}) {
      CAPTURE(mkn[0]);
      CHECK(worst_of<T>(right, mkn[0], mkn[1], mkn[2], 0) <= 1);
      CHECK(worst_of<T>(right, mkn[0], mkn[1], mkn[2], 5) <= 1);
    }
  }
}

TEST_CASE_TEMPLATE("gemm: what was in C is not read unless it is accumulated onto", T, float, double) {
  for (const Right right : {Right::plain, Right::packed})
    for (const std::array<Index, 3>& mkn :
         {std::array<Index, 3>{5, 4, 3}, {9, 600, 33}, {64, 128, 128}, {3, 0, 2}, {2, 0, 20000}})
      CHECK(error<T>(right, false, false, mkn[0], mkn[1], mkn[2], 2, false, true) <= 1);
}

TEST_CASE_TEMPLATE("gemm: products of nothing", T, float, double) {
  for (const bool accumulate : {false, true})
    for (const Right right : {Right::plain, Right::packed}) {
      CHECK(error<T>(right, false, false, 0, 3, 4, 1, accumulate) == 0);
      CHECK(error<T>(right, false, false, 3, 4, 0, 1, accumulate) == 0);
      CHECK(error<T>(right, true, true, 3, 0, 4, 1, accumulate) == 0);
    }
}

TEST_CASE_TEMPLATE("gemm: a bias is added to every row once", T, float, double) {
  for (const Index k : {0, 3, 900})
    for (const Index n : {1, 16, 65, 130})
      for (const bool accumulate : {false, true}) {
        Rng rng(3);
        Framed<T> a(13, k, 1, rng), b(k, n, 2, rng), c(13, n, 3, rng), bias(1, n, 0, rng);
        Framed<T> expected = c;
        gemm<T>(Trans::no, a.view(), Trans::no, b.view(), expected.view(), accumulate);
        gemm<T>(Trans::no, a.view(), Trans::no, b.view(), c.view(), accumulate, bias.view().data);
        double worst = 0;
        for (Index r = 0; r < 13; ++r)
          for (Index j = 0; j < n; ++j)
            worst = std::max(worst, std::abs(static_cast<double>(c.view().row(r)[j]) -
                                             static_cast<double>(expected.view().row(r)[j]) -
                                             static_cast<double>(bias.view().row(0)[j])));
        CHECK(worst <= 64 * std::numeric_limits<T>::epsilon());
      }
}

TEST_CASE_TEMPLATE("gemm: added to rows that lie elsewhere, it is what it is added to the same rows in C, to the bit",
                   T, float, double) {
  for (const Index k : {0, 3, 40, 1100})
    for (const Index n : {1, 16, 33, 65, 130})
      for (const Index m : {1, 7, 300})
        for (const Trans ta : {Trans::no, Trans::yes})
          for (const bool with_bias : {false, true}) {
            CAPTURE(m);
            CAPTURE(k);
            CAPTURE(n);
            Rng rng(3);
            Framed<T> a(ta == Trans::no ? m : k, ta == Trans::no ? k : m, 1, rng), b(k, n, 2, rng), bias(1, n, 0, rng);
            Framed<T> few(4, n + 7, 3, rng), c(m, n, 1, rng), packed = c, expected = c;
            std::vector<const T*> at;
            for (Index r = 0; r < m; ++r) {
              at.push_back(few.view().row(r * r % 4));
              std::copy_n(at.back() + 5, n, expected.view().row(r));
            }
            const T* const row = with_bias ? bias.view().data : nullptr;
            Packed<T> right;
            right.assign(Trans::no, b.view());
            gemm<T>(ta, a.view(), Trans::no, b.view(), expected.view(), true, row);
            gemm<T>(ta, a.view(), Trans::no, b.view(), c.view(), Addend<T>(at.data(), 5), row);
            gemm<T>(ta, a.view(), right, packed.view(), Addend<T>(at.data(), 5), row);
            for (Index r = 0; r < m; ++r) {
              REQUIRE(std::equal(c.view().row(r), c.view().row(r) + n, expected.view().row(r)));
              REQUIRE(std::equal(packed.view().row(r), packed.view().row(r) + n, expected.view().row(r)));
            }
          }
}

TEST_CASE_TEMPLATE("gemm: a row is the same to the bit among few rows, among many, and by a packed operand", T, float,
                   double) {
  constexpr Index many = 830;  // more than any block of rows
  Rng rng(9);
  for (const auto& [ta, columns] : std::vector<std::pair<bool, Index>>{
           {false, 99}, {true, 99}, {false, 97}, {true, 97}, {false, 1}, {true, 1}, {false, 34}, {true, 34}}) {
    Framed<T> a(ta ? 600 : many, ta ? many : 600, 0, rng), b(600, columns, 0, rng);
    Framed<T> all(many, columns, 0, rng), few(many, columns, 0, rng);
    gemm<T>(Trans{ta}, a.view(), Trans::no, b.view(), all.view(), false);
    Packed<T> packed;
    packed.assign(Trans::no, b.view());
    for (const Index rows : {Index{1}, Index{2}, Index{7}, Index{30}, many - 100}) {
      const View<const T> whole(a.view());
      const View<const T> some =
          ta ? View<const T>{whole.data + 100, 600, rows, whole.stride} : whole.rows_between(100, 100 + rows);
      for (const bool by_packed : {false, true}) {
        const View<T> to = few.view().rows_between(0, rows);
        if (by_packed)
          gemm<T>(Trans{ta}, some, packed, to, false);
        else
          gemm<T>(Trans{ta}, some, Trans::no, b.view(), to, false);
        for (Index r = 0; r < rows; ++r) CHECK(std::equal(to.row(r), to.row(r) + columns, all.view().row(100 + r)));
      }
    }
  }
}

TEST_CASE_TEMPLATE("gemm_rows: rows that lie anywhere give what they give side by side, to the bit", T, float, double) {
  for (const std::array<Index, 3>& mkn :
       {std::array<Index, 3>{1, 1, 1}, {5, 8, 3}, {33, 130, 70}, {128, 600, 97}, {800, 20, 65}, {3, 0, 4}}) {
    const auto [m, k, n] = mkn;
    CAPTURE(m);
    Rng rng(static_cast<std::uint64_t>(m + k));
    Framed<T> a(k, m, 3, rng), b(k, n, 0, rng), c(m, n, 2, rng), want = c;
    const View<const T> as(a.view()), bs(b.view());
    // Row r of the product is row r * 7 mod k, of memory that runs back and forth.
    std::vector<const T*> of_a, of_b;
    Framed<T> a_in_order(k, m, 0, rng), b_in_order(k, n, 4, rng);
    for (Index r = 0; r < k; ++r) {
      const Index from = r * 7 % k;
      of_a.push_back(as.row(from));
      of_b.push_back(bs.row(from));
      std::copy_n(as.row(from), m, a_in_order.view().row(r));
      std::copy_n(bs.row(from), n, b_in_order.view().row(r));
    }
    for (const bool accumulate : {false, true}) {
      gemm<T>(Trans::yes, a_in_order.view(), Trans::no, b_in_order.view(), want.view(), accumulate);
      gemm_rows<T>({of_a.data(), k, m}, {of_b.data(), k, n}, c.view(), accumulate);
      CHECK(c.memory == want.memory);
      gemm_rows<T>({of_a.data(), k, m}, View<const T>(b_in_order.view()), c.view(), accumulate);
      gemm<T>(Trans::yes, a_in_order.view(), Trans::no, b_in_order.view(), want.view(), accumulate);
      CHECK(c.memory == want.memory);
    }
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
