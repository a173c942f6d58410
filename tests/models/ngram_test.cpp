#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <map>
#include <random>
#include <set>
#include <vector>

#include <unroll/models/ngram.h>
#include <unroll/models/ngram_prefix_model.h>

using namespace unroll;

namespace {

using Ids = std::vector<std::int32_t>;

/// A source in which the next id follows from the last two, or from the last, or is noise that
/// prefers small ids.
Ids synthetic(std::size_t size, std::int32_t symbols, unsigned seed) {
  std::mt19937 random(seed);
  const auto below = [&](std::int32_t n) { return static_cast<std::int32_t>(random() % static_cast<unsigned>(n)); };
  Ids ids{0, 1};
  while (ids.size() < size) {
    const std::int32_t a = ids[ids.size() - 2], b = ids.back(), roll = below(10);
    const std::int32_t noise = below(below(symbols) + 1);
    ids.push_back(roll < 5 ? (a * 7 + b * 3 + 1) % symbols : roll < 8 ? (b + 1) % symbols : noise);
  }
  return ids;
}

/// The definition, word for word, with maps of sequences.
struct Reference {
  int order;
  std::int32_t symbols;
  std::map<Ids, double> counts;  // of every n-gram
  std::vector<std::array<double, 4>> discounts;

  Reference(int order, std::int32_t symbols, const Ids& train) : order(order), symbols(symbols) {
    std::map<Ids, std::set<std::int32_t>> before;
    for (std::size_t i = 0; i < train.size(); ++i)
      for (std::size_t m = 1; m <= static_cast<std::size_t>(order) && i + m <= train.size(); ++m) {
        const Ids gram(train.begin() + static_cast<Index>(i), train.begin() + static_cast<Index>(i + m));
        if (m == static_cast<std::size_t>(order)) counts[gram] += 1;
        if (i > 0) before[gram].insert(train[i - 1]);
      }
    for (const auto& [gram, ids] : before)
      if (static_cast<int>(gram.size()) < order) counts[gram] = static_cast<double>(ids.size());
    discounts.resize(static_cast<std::size_t>(order + 1));
    for (std::size_t m = 2; m < discounts.size(); ++m) {
      double n[5] = {};
      for (const auto& [gram, c] : counts)
        if (gram.size() == m && c <= 4) ++n[static_cast<int>(c)];
      for (int c = 1; c <= 4; ++c) REQUIRE(n[c] > 0);
      const double y = n[1] / (n[1] + 2 * n[2]);
      discounts[m] = {0, 1 - 2 * y * n[2] / n[1], 2 - 3 * y * n[3] / n[2], 3 - 4 * y * n[4] / n[3]};
      for (int c = 1; c <= 3; ++c) REQUIRE(discounts[m][static_cast<std::size_t>(c)] > 0);
    }
  }
  double count(Ids gram) const {
    const auto found = counts.find(gram);
    return found == counts.end() ? 0 : found->second;
  }
  double probability(Ids context, std::int32_t id) const {
    const auto extended = [&](std::int32_t w) {
      Ids gram = context;
      gram.push_back(w);
      return gram;
    };
    double total = 0, reserved = 0;
    for (std::int32_t w = 0; w < symbols; ++w) {
      const double c = count(extended(w));
      total += c;
      reserved += discounts[context.size() + 1][c > 3 ? 3 : static_cast<std::size_t>(c)];
    }
    const double c = count(extended(id));
    if (context.empty()) return (c + 0.5) / (total + 0.5 * symbols);
    const double shorter = probability(Ids(context.begin() + 1, context.end()), id);
    if (total == 0) return shorter;
    return (c - discounts[context.size() + 1][c > 3 ? 3 : static_cast<std::size_t>(c)] + reserved * shorter) / total;
  }
};

}  // namespace

TEST_CASE("ngram: unigrams are counts plus a half") {
  const NGram model(1, 3, Ids{0, 0, 0, 1});
  CHECK(model.probability({}, 0) == doctest::Approx(3.5 / 5.5));
  CHECK(model.probability(Ids{2, 2}, 1) == doctest::Approx(1.5 / 5.5));
  CHECK(model.probability({}, 2) == doctest::Approx(0.5 / 5.5));
  CHECK(model.nats_per_token(Ids{0, 2}) == doctest::Approx(-(std::log(3.5 / 5.5) + std::log(0.5 / 5.5)) / 2));
}

TEST_CASE("ngram: bigrams of a text of five ids agree with the calculation by hand") {
  // 0 0 1 0 2: the pairs 00, 01, 10 and 02 occur once, so that D(1) is 1/2. Before 0 stand two
  // different ids, before 1 and 2 one, before 3 none.
  const NGram model(2, 4, Ids{0, 0, 1, 0, 2});
  CHECK(model.probability({}, 0) == doctest::Approx(2.5 / 6));
  CHECK(model.probability({}, 3) == doctest::Approx(0.5 / 6));
  CHECK(model.probability(Ids{0}, 1) == doctest::Approx((0.5 + 1.5 * 1.5 / 6) / 3));
  CHECK(model.probability(Ids{0}, 3) == doctest::Approx(1.5 * 0.5 / 6 / 3));
  CHECK(model.probability(Ids{1}, 0) == doctest::Approx(0.5 + 0.5 * 2.5 / 6));
  CHECK(model.probability(Ids{2}, 0) == doctest::Approx(2.5 / 6));
  CHECK(model.probability(Ids{3, 1}, 0) == model.probability(Ids{1}, 0));
  CHECK(model.nats_per_token(Ids{0, 1}) ==
        doctest::Approx(-(std::log(2.5 / 6) + std::log((0.5 + 1.5 * 1.5 / 6) / 3)) / 2));
}

TEST_CASE("ngram: every order agrees with the definition") {
  const Ids train = synthetic(3000, 40, 1), contexts = synthetic(60, 40, 2);
  for (int order = 2; order <= 4; ++order) {
    const NGram model(order, 40, train);
    const Reference reference(order, 40, train);
    const auto n = static_cast<std::size_t>(order - 1);
    for (std::size_t i = 0; i + n < contexts.size(); ++i)
      for (std::int32_t id = 0; id < 40; ++id) {
        const Ids context(contexts.begin() + static_cast<Index>(i), contexts.begin() + static_cast<Index>(i + n));
        CHECK(model.probability(context, id) == doctest::Approx(reference.probability(context, id)).epsilon(1e-12));
      }
  }
}

TEST_CASE("ngram: probabilities sum to one and are never zero, whatever the context") {
  const std::int32_t symbols = 9;
  for (const std::size_t size : {1, 2, 3, 7, 40, 5000}) {
    Ids train = synthetic(size + 2, symbols - 1, 3);  // the last id never occurs
    train.resize(size);
    for (int order = 1; order <= NGram::max_order; ++order) {
      const NGram model(order, symbols, train);
      std::mt19937 random(4);
      for (int trial = 0; trial < 100; ++trial) {
        Ids context;
        // Half of the contexts are taken from the text, so that long ones are seen too.
        const std::size_t start = random() % size, length = random() % 7;
        for (std::size_t i = 0; i < length; ++i)
          context.push_back(trial % 2 == 0 ? static_cast<std::int32_t>(random() % 9) : train[(start + i) % size]);
        double sum = 0;
        for (std::int32_t id = 0; id < symbols; ++id) {
          const double p = model.probability(context, id);
          CHECK(p > 0);
          sum += p;
        }
        CHECK(sum == doctest::Approx(1).epsilon(1e-9));
      }
    }
  }
}

TEST_CASE("ngram: nats are the mean of the probabilities' logarithms with growing contexts") {
  const Ids train = synthetic(2000, 10, 5), text = synthetic(50, 10, 6);
  const NGram model(4, 10, train);
  double nats = 0;
  for (std::size_t i = 0; i < text.size(); ++i) nats -= std::log(model.probability(std::span(text).first(i), text[i]));
  CHECK(model.nats_per_token(text) == doctest::Approx(nats / 50).epsilon(1e-12));
}

TEST_CASE("ngram: longer contexts predict a held-out text better") {
  const Ids train = synthetic(30000, 15, 7), held_out = synthetic(5000, 15, 8);
  const auto nats = [&](int order) { return NGram(order, 15, train).nats_per_token(held_out); };
  const double one = nats(1), two = nats(2), three = nats(3);
  CHECK(one < std::log(15));
  CHECK(two < one - 0.2);
  CHECK(three < two - 0.4);
  CHECK(nats(5) < two);
}

TEST_CASE("ngram: what is out of range is refused") {
  const Ids train{0, 1, 0};
  CHECK_THROWS_AS(NGram(0, 2, train), ValueError);
  CHECK_THROWS_AS(NGram(6, 2, train), ValueError);
  CHECK_THROWS_AS(NGram(2, 0, train), ValueError);
  CHECK_THROWS_AS(NGram(2, Index{1} << 40, train), ValueError);
  CHECK_THROWS_AS(NGram(2, 2, Ids{}), ValueError);
  CHECK_THROWS_AS(NGram(2, 2, Ids{0, 2}), IndexError);
  CHECK_THROWS_AS(NGram(2, 2, Ids{0, -1}), IndexError);
  const NGram model(2, 2, train);
  CHECK_THROWS_AS(model.probability({}, 2), IndexError);
  CHECK_THROWS_AS(model.probability(Ids{-1}, 0), IndexError);
  CHECK_THROWS_AS(model.nats_per_token(Ids{}), ValueError);
  CHECK_THROWS_AS(model.nats_per_token(Ids{0, 5}), IndexError);
}

TEST_CASE("ngram: as a model of prefixes it says what it says of their last labels") {
  const std::vector<std::int32_t> text{0, 1, 2, 0, 1, 1, 2, 0, 2, 1, 0, 1, 2, 2};
  const NGram model(3, 3, text);
  NGramPrefixModel prefixes(model);
  const Index one = prefixes.extend(0, 1), one_two = prefixes.extend(one, 2), longer = prefixes.extend(one_two, 0);
  const std::vector<std::pair<Index, std::vector<std::int32_t>>> read{
      {0, {}}, {one, {1}}, {one_two, {1, 2}}, {longer, {1, 2, 0}}};
  for (const auto& [prefix, labels] : read)
    for (std::int32_t c = 0; c < 3; ++c)
      CHECK(prefixes.log_probability(prefix, c) == doctest::Approx(std::log(model.probability(labels, c))));
}
