#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include <unroll/layers/decoding/sampling.h>

using namespace unroll;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

std::vector<Index> counts(const std::vector<double>& logits, const SamplingOptions& options, Index draws) {
  std::vector<Index> result(logits.size());
  Rng rng{17};
  for (Index i = 0; i < draws; ++i) ++result[static_cast<std::size_t>(draw<double>(logits, options, rng))];
  return result;
}

/// Pearson's statistic of counts against probabilities; symbols of probability 0 must not occur.
double chi_square(const std::vector<Index>& counts, const std::vector<double>& probabilities) {
  double total = 0, result = 0;
  for (const Index n : counts) total += static_cast<double>(n);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double expected = total * probabilities[i];
    if (expected == 0)
      CHECK(counts[i] == 0);
    else
      result += (static_cast<double>(counts[i]) - expected) * (static_cast<double>(counts[i]) - expected) / expected;
  }
  return result;
}

std::vector<double> softmax(const std::vector<double>& logits, double temperature, const std::set<std::size_t>& kept) {
  std::vector<double> p(logits.size());
  double sum = 0;
  for (const std::size_t i : kept) sum += p[i] = std::exp(logits[i] / temperature);
  for (double& x : p) x /= sum;
  return p;
}

const std::vector<double> logits{0.3, -1.0, 2.0, 0.5, -infinity, 1.4, -0.2};
const std::set<std::size_t> allowed{0, 1, 2, 3, 5, 6};

// With 5 degrees of freedom the statistic is above 35.9 once in a million.
constexpr double bound = 35.9;

}  // namespace

TEST_CASE("sampling: frequencies are those of the tempered distribution, and what is forbidden never comes") {
  for (const double temperature : {0.5, 1.0, 2.0})
    CHECK(chi_square(counts(logits, {.temperature = temperature}, 40000), softmax(logits, temperature, allowed)) <
          bound);
  // The bound is one that a wrong temperature does not keep.
  CHECK(chi_square(counts(logits, {.temperature = 1}, 40000), softmax(logits, 1.1, allowed)) > bound);
}

TEST_CASE("sampling: top-k leaves the k likeliest, in their own proportions") {
  CHECK(chi_square(counts(logits, {.top_k = 3}, 40000), softmax(logits, 1, {2, 5, 3})) < bound);
  CHECK(chi_square(counts(logits, {.top_k = 100}, 40000), softmax(logits, 1, allowed)) < bound);
  CHECK(counts(logits, {.top_k = 1}, 100)[2] == 100);
  // Of equal logits the lower symbols are kept.
  CHECK(chi_square(counts({1, 1, 1, 1}, {.top_k = 2}, 1000), {0.5, 0.5, 0, 0}) < bound);
}

TEST_CASE("sampling: top-p leaves the fewest symbols that reach p") {
  const std::vector<double> p = softmax(logits, 1, allowed);
  const double first = p[2], second = p[2] + p[5];
  CHECK(chi_square(counts(logits, {.top_p = first + 1e-6}, 40000), softmax(logits, 1, {2, 5})) < bound);
  CHECK(chi_square(counts(logits, {.top_p = second + 1e-6}, 40000), softmax(logits, 1, {2, 5, 3})) < bound);
  CHECK(counts(logits, {.top_p = first - 1e-6}, 100)[2] == 100);
  CHECK(counts(logits, {.top_p = 1e-9}, 100)[2] == 100);
  // The share is that among what top-k left.
  const double share = p[2] / (p[2] + p[5]);
  CHECK(counts(logits, {.top_k = 2, .top_p = share - 1e-6}, 100)[2] == 100);
  CHECK(chi_square(counts(logits, {.top_k = 2, .top_p = share + 1e-6}, 40000), softmax(logits, 1, {2, 5})) < bound);
}

TEST_CASE("sampling: at temperature 0 the likeliest, the first of equals, and no number is taken") {
  Rng rng{3};
  CHECK(draw<float>(std::vector<float>{1, 4, 2, 4}, {.temperature = 0}, rng) == 1);
  CHECK(rng.position() == 0);
  draw<float>(std::vector<float>{1, 4, 2, 4}, {}, rng);
  CHECK(rng.position() == 1);
}

TEST_CASE("sampling: a seed gives its symbols, whatever became of the sort before top-k") {
  // Drawn by the whole order, sorted in full, with weights relative to the likeliest.
  Rng rng{5}, same{5};
  std::vector<float> x;
  for (int i = 0; i < 300; ++i) x.push_back(static_cast<float>(rng.normal()));
  same.seek(rng.position());
  for (int i = 0; i < 200; ++i) {
    std::vector<std::pair<float, std::int32_t>> order;
    for (std::size_t k = 0; k < x.size(); ++k) order.emplace_back(-x[k], static_cast<std::int32_t>(k));
    std::sort(order.begin(), order.end());
    order.resize(40);
    double total = 0, kept = 0;
    std::vector<double> weights;
    for (const auto& [minus, k] : order) {
      weights.push_back(std::exp(static_cast<double>(-minus + order[0].first) / 0.8));
      total += weights.back();
    }
    std::size_t count = 0;
    while (count < 40 && kept < 0.9 * total) kept += weights[count++];
    double at = same.uniform() * kept;
    std::size_t k = 0;
    while (k + 1 < count && (at -= weights[k]) >= 0) ++k;
    CHECK(draw<float>(x, {.temperature = 0.8, .top_k = 40, .top_p = 0.9}, rng) == order[k].second);
  }
}

TEST_CASE("sampling: what is no distribution is an error, and so is an option outside its domain") {
  Rng rng{1};
  const auto nan = std::numeric_limits<double>::quiet_NaN();
  const auto fails = [&](std::vector<double> x, const SamplingOptions& options, const char* message) {
    CHECK_THROWS_WITH_AS(draw<double>(x, options, rng), message, ValueError);
  };
  fails({0, nan, 1}, {}, "draw: logit 1 is nan");
  fails({0, nan, 1}, {.temperature = 0}, "draw: logit 1 is nan");
  fails({0, 1, infinity}, {}, "draw: logit 2 is inf");
  fails({-infinity, -infinity}, {}, "draw: every symbol is forbidden");
  fails({}, {}, "draw: every symbol is forbidden");
  fails({1, 2}, {.temperature = -1}, "sampling: temperature -1 is not a number from 0 on");
  fails({1, 2}, {.temperature = nan}, "sampling: temperature nan is not a number from 0 on");
  fails({1, 2}, {.top_k = -1}, "sampling: top-k -1 is negative");
  fails({1, 2}, {.top_p = 0}, "sampling: top-p 0 is not in 0 < p <= 1");
  fails({1, 2}, {.top_p = nan}, "sampling: top-p nan is not in 0 < p <= 1");
  CHECK(rng.position() == 0);
}
