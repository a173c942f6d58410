#include <doctest/doctest.h>

#include <models/metrics/metric_fixture.h>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include <unroll/models/metrics/likelihood.h>

using namespace unroll;

TEST_CASE("likelihood: a uniform choice among 8 symbols has perplexity 8 and takes 3 bits") {
  Likelihood text;
  for (int i = 0; i < 5; ++i) text.add(std::log(8));
  text.add(2 * std::log(8), 2, 14);
  CHECK(text.tokens() == 7);
  CHECK(text.characters() == 14);
  CHECK(text.perplexity() == doctest::Approx(8).epsilon(1e-14));
  CHECK(text.bits_per_token() == doctest::Approx(3).epsilon(1e-14));
  CHECK(text.bits_per_character() == doctest::Approx(7 * 3 / 14.).epsilon(1e-14));
  CHECK(perplexity(std::numbers::ln2) == doctest::Approx(2).epsilon(1e-14));
  CHECK(bits_from_nats(2 * std::numbers::ln2) == doctest::Approx(2).epsilon(1e-14));
}

TEST_CASE("likelihood: the mean agrees with scikit-learn's log_loss") {
  const auto& stored = stored_metrics("log_loss")[0];
  Likelihood text;
  for (const double p : stored.at("probabilities")) text.add(-std::log(p));
  CHECK(text.nats_per_token() == doctest::Approx(stored.at("mean").get<double>()).epsilon(1e-12));
}

TEST_CASE("likelihood: parts add up, in any order") {
  Likelihood whole, first, second;
  for (int i = 0; i < 100; ++i) {
    const double nats = 0.1 + i % 7;
    whole.add(nats, 1 + i % 3, i);
    (i % 2 == 0 ? first : second).add(nats, 1 + i % 3, i);
  }
  first += second;
  CHECK(first.tokens() == whole.tokens());
  CHECK(first.characters() == whole.characters());
  CHECK(first.nats() == doctest::Approx(whole.nats()).epsilon(1e-15));
}

TEST_CASE("likelihood: small terms after a large one are not lost") {
  Likelihood text;
  text.add(1e16);
  for (int i = 0; i < 1000; ++i) text.add(0.5);
  CHECK(text.nats() == 1e16 + 500);
}

TEST_CASE("likelihood: what was impossible has infinite perplexity, and what is no likelihood is refused") {
  Likelihood text;
  CHECK_THROWS_AS(text.perplexity(), ValueError);
  CHECK_THROWS_AS(text.nats_per_token(), ValueError);
  CHECK_THROWS_AS(text.bits_per_character(), ValueError);
  CHECK_THROWS_AS(text.add(std::numeric_limits<double>::quiet_NaN()), ValueError);
  CHECK_THROWS_AS(text.add(-0.1), ValueError);
  CHECK_THROWS_AS(text.add(1, -1), ValueError);
  CHECK_THROWS_AS(text.add(1, 1, -1), ValueError);
  CHECK_THROWS_AS(text.add(1, 0), ValueError);
  CHECK(text.tokens() == 0);
  text.add(2, 1);
  CHECK_THROWS_AS(text.bits_per_character(), ValueError);
  text.add(INFINITY, 1, 1);
  text.add(1, 1);
  CHECK(text.perplexity() == INFINITY);
  CHECK(text.bits_per_character() == INFINITY);
  Likelihood other;
  other.add(1);
  other += text;
  CHECK(other.perplexity() == INFINITY);
}
