#include <doctest/doctest.h>

#include <unroll/autograd/tensor/rng.h>

#include <set>

using namespace unroll;

TEST_CASE("rng: a seed and a position give the number") {
  Rng a(42), b(42, 3);
  const std::uint64_t first = a.next();
  a.next();
  a.next();
  CHECK(a.position() == 3);
  CHECK(a.next() == b.next());
  a.seek(0);
  CHECK(a.next() == first);
  CHECK(first == Rng::bits(42, 0));
  CHECK(Rng(42).uniform() == Rng::uniform(std::uint64_t{42}, std::uint64_t{0}));
  CHECK(Rng(42).normal() == Rng::normal(42, 0));
}

TEST_CASE("rng: numbers are those of SplitMix64, which files and papers rely on") {
  // A change here changes every initialisation and every dropout mask.
  CHECK(Rng::bits(0, 0) == 0xE220A8397B1DCDAFULL);
  CHECK(Rng::bits(0, 1) == 0x6E789E6AA1B965F4ULL);
  CHECK(Rng::bits(0, 2) == 0x06C45D188009454FULL);
}

TEST_CASE("rng: advance reserves a range that nobody else draws") {
  Rng rng(1);
  CHECK(rng.advance(10) == 0);
  CHECK(rng.advance(5) == 10);
  CHECK(rng.position() == 15);
  CHECK(rng.next() == Rng::bits(1, 15));
}

TEST_CASE("rng: seeds that are neighbours give sequences that are not") {
  std::set<std::uint64_t> seen;
  for (std::uint64_t seed = 0; seed < 100; ++seed)
    for (std::uint64_t position = 0; position < 100; ++position) seen.insert(Rng::bits(seed, position));
  CHECK(seen.size() == 10000);
  double correlation = 0;
  for (std::uint64_t i = 0; i < 10000; ++i) correlation += (Rng::uniform(7, i) - 0.5) * (Rng::uniform(8, i) - 0.5) * 12;
  CHECK(std::abs(correlation / 10000) < 4 / std::sqrt(10000.0));
}

TEST_CASE("rng: uniform numbers fill their range evenly") {
  constexpr int n = 100000;
  Rng rng(3);
  double sum = 0, squares = 0, low = 1, high = 0, lag = 0, last = 0.5;
  std::array<int, 10> counts{};
  for (int i = 0; i < n; ++i) {
    const double u = rng.uniform();
    sum += u, squares += u * u, lag += (u - 0.5) * (last - 0.5), last = u;
    low = std::min(low, u), high = std::max(high, u);
    ++counts[static_cast<std::size_t>(u * 10)];
  }
  CHECK(low >= 0);
  CHECK(high < 1);
  CHECK(std::abs(sum / n - 0.5) < 4 * std::sqrt(1 / 12.0 / n));
  CHECK(std::abs(squares / n - 1 / 3.0) < 4 * std::sqrt(4 / 45.0 / n));
  CHECK(std::abs(lag / n * 12) < 4 / std::sqrt(n));
  double chi = 0;
  for (const int c : counts) chi += (c - n / 10.0) * (c - n / 10.0) / (n / 10.0);
  CHECK(chi < 33.7);  // 9 degrees of freedom, 1 in 10,000
  const double u = Rng(4).uniform(-3.0, 5.0);
  CHECK(u >= -3);
  CHECK(u < 5);
}

TEST_CASE("rng: normal numbers have the moments of a normal distribution") {
  constexpr int n = 200000;
  Rng rng(5);
  std::array<double, 5> moment{};
  int within_one = 0;
  for (int i = 0; i < n; ++i) {
    const double z = rng.normal();
    double power = 1;
    for (double& m : moment) m += power / n, power *= z;
    within_one += std::abs(z) < 1;
  }
  const double root = std::sqrt(static_cast<double>(n));
  CHECK(std::abs(moment[1]) < 4 / root);
  CHECK(std::abs(moment[2] - 1) < 4 * std::sqrt(2.0) / root);
  CHECK(std::abs(moment[3]) < 4 * std::sqrt(15.0) / root);
  CHECK(std::abs(moment[4] - 3) < 4 * std::sqrt(96.0) / root);
  CHECK(within_one / static_cast<double>(n) == doctest::Approx(0.6827).epsilon(0.01));
}

TEST_CASE("rng: below gives each of its numbers and no other") {
  Rng rng(6);
  std::array<int, 7> counts{};
  for (int i = 0; i < 7000; ++i) {
    const Index k = rng.below(7);
    REQUIRE(k >= 0);
    REQUIRE(k < 7);
    ++counts[static_cast<std::size_t>(k)];
  }
  for (const int c : counts) CHECK(std::abs(c - 1000) < 150);
  CHECK(rng.below(1) == 0);
}
