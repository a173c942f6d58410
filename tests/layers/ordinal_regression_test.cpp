#include <layers/compare.h>
#include <unroll/autograd/check/gradients.h>

using namespace unroll;

namespace {

/// 4 steps of 3 rows, of lengths 4, 1 and 2.
const std::vector<std::int32_t> given{1, 5, 3, 2, -1, 4, 5, -1, -1, 3, -1, -1};

Tensor<double> scores(double padding) {
  Rng rng{1};
  Tensor<double> s = random_tensor({4, 3}, rng, 2);
  for (std::size_t i = 0; i < given.size(); ++i)
    if (given[i] < 0) s.data()[i] = padding;
  return s;
}
OrdinalRegression<double> layer_of(Index stars) {
  OrdinalRegression<double> layer(stars);
  Rng rng{2};
  for (double& x : layer.raw.edit()) x += rng.normal();
  return layer;
}
double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }

/// P(stars <= k) - P(stars <= k - 1) with thresholds added up one by one.
double probability(const OrdinalRegression<double>& layer, double score, Index stars) {
  double threshold = layer.raw.value()(0), below = 0;
  for (Index k = 1; k < layer.stars(); ++k) {
    if (k > 1) threshold += std::log(1 + std::exp(layer.raw.value().data()[k - 1]));
    const double at_most = sigmoid_of(threshold - score);
    if (k == stars) return at_most - below;
    below = at_most;
  }
  return 1 - below;
}

}  // namespace

TEST_CASE("ordinal regression: probabilities and losses are those of the definition") {
  for (const Index stars : {2, 3, 5}) {
    const auto layer = layer_of(stars);
    Tape<double> tape;
    const auto s = tape.constant(scores(0.25));
    const auto p = layer.probabilities(s);
    CHECK(p.shape() == Shape{4, 3, stars});
    const auto best = layer.predict(s);
    for (std::size_t i = 0; i < 12; ++i) {
      double total = 0, most = 0;
      for (Index k = 1; k <= stars; ++k) {
        const double want = probability(layer, s.value().data()[i], k);
        CHECK(p.value().data()[static_cast<Index>(i) * stars + k - 1] == doctest::Approx(want).epsilon(1e-12));
        total += want;
        most = std::max(most, want);
        const std::vector<std::int32_t> one{static_cast<std::int32_t>(k)};
        CHECK(layer.loss(tape.constant(Tensor<double>{s.value().data()[i]}), one).item() ==
              doctest::Approx(-std::log(want)).epsilon(1e-12));
      }
      CHECK(total == doctest::Approx(1));
      CHECK(probability(layer, s.value().data()[i], best[i]) == most);
    }
  }
}

TEST_CASE("ordinal regression: at first all stars are equally probable at score 0") {
  for (const Index stars : {2, 3, 5, 10}) {
    const OrdinalRegression<double> layer(stars);
    Tape<double> tape;
    const auto p = layer.probabilities(tape.constant(0.0));
    for (const double each : p.value()) CHECK(each == doctest::Approx(1.0 / static_cast<double>(stars)).epsilon(1e-12));
  }
}

TEST_CASE("ordinal regression: thresholds stay in order whatever is learned") {
  Rng rng{3};
  auto layer = layer_of(6);
  for (int trial = 0; trial < 20; ++trial) {
    for (double& x : layer.raw.edit()) x = 10 * rng.normal();
    Tape<double> tape;
    const auto t = layer.thresholds(tape);
    for (std::size_t k = 1; k < 5; ++k) CHECK(t.value()(k) > t.value()(k - 1));
  }
}

TEST_CASE("ordinal regression: gradients agree with differences, also of ragged rows") {
  for (const Index stars : {2, 3, 5}) {
    auto layer = layer_of(stars);
    Parameter<double> s(scores(0.25));
    auto clipped = given;
    for (auto& g : clipped) g = std::min(g, static_cast<std::int32_t>(stars));
    for (const Reduction reduction : {Reduction::mean, Reduction::none}) {
      const auto report = check_gradients(
          [&](Tape<double>& tape) -> Var<double> { return sum(square(layer.loss(tape.use(s), clipped, reduction))); },
          {&layer.raw, &s});
      INFO(report.text());
      CHECK(report);
    }
    const auto report = check_gradients(
        [&](Tape<double>& tape) -> Var<double> { return sum(square(layer.probabilities(tape.use(s)) + 0.3)); },
        {&layer.raw, &s});
    INFO(report.text());
    CHECK(report);
  }
}

TEST_CASE("ordinal regression: padding is not read") {
  auto layer = layer_of(5);
  const auto run = [&](double padding) {
    Tape<double> tape;
    const auto s = tape.variable(scores(padding));
    const auto loss = layer.loss(s, given);
    tape.backward(loss);
    std::vector<Tensor<double>> result{loss.value(), s.grad(), layer.raw.grad()};
    layer.raw.clear_grad();
    return result;
  };
  const auto got = run(NAN), want = run(0);
  for (std::size_t k = 0; k < want.size(); ++k) CHECK(got[k] == want[k]);
  Tape<double> tape;
  const auto each = layer.loss(tape.constant(scores(NAN)), given, Reduction::none);
  CHECK(sequence_mean(each, std::vector<Index>{4, 1, 2}).item() > 0);
  CHECK(each.value()(3, 2) == 0);
}

TEST_CASE_TEMPLATE("ordinal regression: large scores and parameters give finite losses and gradients", T, float,
                   double) {
  OrdinalRegression<T> layer(4);
  for (const T gap : {T(-1e4), T(0), T(1e4)}) {
    layer.raw.edit() = Tensor<T>{0, gap, 1};
    for (const T score : {T(-1e4), T(0), T(1e4)})
      for (const std::int32_t stars : {1, 2, 3, 4}) {
        Tape<T> tape;
        const auto s = tape.variable(Tensor<T>{score});
        const auto loss = layer.loss(s, std::vector<std::int32_t>{stars});
        CHECK(std::isfinite(loss.item()));
        tape.backward(loss + sum(square(layer.probabilities(s))));
        CHECK(std::isfinite(s.grad()(0)));
        for (const T g : layer.raw.grad()) CHECK(std::isfinite(g));
      }
  }
  layer.raw.edit() = Tensor<T>{0, 1, 1};
  Tape<T> tape;
  const auto s = tape.variable(Tensor<T>{T(1e4), T(-1e4)});
  const auto loss = layer.loss(s, std::vector<std::int32_t>{1, 4}, Reduction::none);
  CHECK(loss.value()(0) == doctest::Approx(1e4));
  tape.backward(sum(loss));
  CHECK(s.grad() == Tensor<T>{1, -1});
}

TEST_CASE("ordinal regression: what does not fit is an error in a sentence") {
  CHECK_THROWS_WITH_AS(OrdinalRegression<double>(1), "ordinal_regression: 1 stars are fewer than two", ValueError);
  auto layer = layer_of(5);
  Tape<double> tape;
  const auto s = tape.zeros({2, 2});
  CHECK_THROWS_WITH_AS(layer.loss(s, std::vector<std::int32_t>{1, 0, 2, 3}),
                       "ordinal_regression: 0 stars of score 1 are outside 1 .. 5", IndexError);
  CHECK_THROWS_AS(layer.loss(s, std::vector<std::int32_t>{1, 6, 2, 3}), IndexError);
  CHECK_THROWS_WITH_AS(layer.loss(s, std::vector<std::int32_t>{1, 2}), "ordinal_regression: 2 stars for scores [2, 2]",
                       ShapeError);
  const std::vector<std::int32_t> none(4, -1);
  CHECK_THROWS_WITH_AS(layer.loss(s, none), "ordinal_regression: there is no target to average over", ValueError);
  CHECK(layer.loss(s, none, Reduction::sum).item() == 0);
}
