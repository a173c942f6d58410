#include <layers/compare.h>
#include <unroll/autograd/check/gradients.h>

using namespace unroll;

namespace {

/// 4 steps of 3 rows, of lengths 4, 1 and 2, over 12 classes.
const std::vector<std::int32_t> targets{0, 11, 3, 5, -1, 4, 2, -1, -1, 0, -1, -1};
constexpr Index classes = 12, width = 4;

Tensor<double> sequence(double padding) {
  Rng rng{2};
  Tensor<double> x = random_tensor({4, 3, width}, rng);
  for (std::size_t r = 0; r < targets.size(); ++r)
    if (targets[r] < 0) std::fill_n(x.data() + r * width, width, padding);
  return x;
}
SampledSoftmax<double> layer_of(Index samples) {
  Rng rng{3};
  SampledSoftmax<double> layer(width, classes, samples, rng);
  for (double& b : layer.bias.edit()) b = rng.normal();
  return layer;
}

/// Loss, and the gradients of h, weight and bias.
template <class F>
std::vector<Tensor<double>> run(SampledSoftmax<double>& layer, double padding, F loss_of) {
  Tape<double> tape;
  const auto h = tape.variable(sequence(padding));
  const auto loss = loss_of(h);
  tape.backward(loss);
  std::vector<Tensor<double>> result{loss.value(), h.grad(), layer.weight.grad(), layer.bias.grad()};
  for (auto* p : parameters<double>(layer)) p->clear_grad();
  return result;
}

/// Mean and squared deviation of numbers that come one by one (Welford 1962).
struct Moments {
  double count = 0, mean = 0, squares = 0;
  void add(double x) {
    const double d = x - mean;
    mean += d / ++count;
    squares += d * (x - mean);
  }
  double deviation() const { return std::sqrt(squares / (count - 1)); }
};

}  // namespace

TEST_CASE("sampled classes: distinct, in order, and each as often as it says") {
  Rng rng{4};
  constexpr Index all = 50, samples = 12;
  constexpr int draws = 20000;
  std::vector<double> hits(all, 0), said(all, 0);
  for (int i = 0; i < draws; ++i) {
    const auto sample = sample_log_uniform(all, samples, rng);
    REQUIRE(sample.ids.size() == samples);
    for (std::size_t k = 0; k < samples; ++k) {
      if (k > 0) REQUIRE(sample.ids[k] > sample.ids[k - 1]);
      const auto id = static_cast<std::size_t>(sample.ids[k]);
      ++hits[id];
      said[id] = sample.probabilities[k];
    }
  }
  double total = 0;
  for (std::size_t k = 0; k < all; ++k) {
    CAPTURE(k);
    REQUIRE(said[k] > 0);
    CHECK(said[k] <= 1);
    total += said[k];
    // Five standard deviations of a binomial count.
    CHECK(std::abs(hits[k] - draws * said[k]) <= 5 * std::sqrt(draws * said[k] * (1 - said[k])) + 1e-9);
  }
  CHECK(total == doctest::Approx(samples).epsilon(1e-12));
  // Where they are not sure, probabilities are in the proportions of Zipf's law.
  CHECK(said[0] == 1);
  CHECK(said[20] / said[40] == doctest::Approx(std::log(22.0 / 21) / std::log(42.0 / 41)).epsilon(1e-12));
}

TEST_CASE("sampled classes: all of them, one, and more than there are") {
  Rng rng{5};
  for (const Index all : {1, 2, 7, 1000}) {
    for (const Index samples : {all, all + 3}) {
      const auto sample = sample_log_uniform(all, samples, rng);
      REQUIRE(sample.ids.size() == static_cast<std::size_t>(all));
      for (Index k = 0; k < all; ++k) CHECK(sample.ids[static_cast<std::size_t>(k)] == k);
      for (const double p : sample.probabilities) CHECK(p == 1);
    }
    const auto one = sample_log_uniform(all, 1, rng);
    CHECK(one.ids.size() == 1);
    CHECK((one.ids[0] >= 0 && one.ids[0] < all));
  }
  for (int i = 0; i < 200; ++i) {
    const auto sample = sample_log_uniform(1'000'000'000, 100, rng);
    CHECK(std::ranges::adjacent_find(sample.ids, std::greater_equal<>()) == sample.ids.end());
    CHECK(sample.ids.back() < 1'000'000'000);
  }
}

TEST_CASE("sampled softmax: exact when the sample is the whole vocabulary") {
  auto layer = layer_of(classes);
  Rng rng{6};
  for (const Reduction reduction : {Reduction::mean, Reduction::sum}) {
    const auto got = run(layer, 0, [&](Var<double> h) { return layer.loss(h, targets, rng, reduction); });
    const auto want = run(layer, 0, [&](Var<double> h) { return layer.full_loss(h, targets, reduction); });
    for (std::size_t k = 0; k < want.size(); ++k) CHECK(distance(got[k], want[k]) <= 1e-14);
  }
  Tape<double> tape;
  const auto h = tape.constant(sequence(0));
  const auto log_p = layer.log_probabilities(h);
  const auto each = layer.loss(h, targets, rng, Reduction::none);
  CHECK(each.shape() == Shape{4, 3});
  for (std::size_t r = 0; r < targets.size(); ++r)
    CHECK(
        each.value().data()[r] ==
        doctest::Approx(targets[r] < 0 ? 0 : -log_p.value().data()[r * classes + static_cast<std::size_t>(targets[r])])
            .epsilon(1e-13));
}

TEST_CASE("sampled softmax: the loss is that of its definition") {
  const auto layer = layer_of(5);
  Rng rng{7}, same{7};
  Tape<double> tape;
  const auto h = tape.constant(sequence(0));
  const auto each = layer.loss(h, targets, rng, Reduction::none);
  const auto sample = sample_log_uniform(classes, 5, same);
  const Var<double> x = matmul(h, layer.weight, {.b = true}) + reshape(tape.use(layer.bias), {classes});
  int hits = 0;
  for (std::size_t r = 0; r < targets.size(); ++r) {
    if (targets[r] < 0) continue;
    const auto logit = [&](std::int32_t c) { return x.value().data()[r * classes + static_cast<std::size_t>(c)]; };
    double total = std::exp(logit(targets[r]));
    for (std::size_t k = 0; k < sample.ids.size(); ++k)
      if (sample.ids[k] == targets[r])
        ++hits;
      else
        total += std::exp(logit(sample.ids[k])) / sample.probabilities[k];
    CHECK(each.value().data()[r] == doctest::Approx(std::log(total) - logit(targets[r])).epsilon(1e-12));
  }
  CHECK(hits > 0);
}

TEST_CASE("sampled softmax: the expected sum of exponentials is that of all classes, and the gradient near theirs") {
  auto layer = layer_of(6);
  Rng rng{8};
  constexpr int draws = 4000;
  const std::vector<std::int32_t> one{7, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
  const auto want = run(layer, 0, [&](Var<double> h) { return layer.full_loss(h, one); });
  // e^loss is the sum of exponentials over e^x_t.
  const double z = std::exp(want[0]());
  Moments sums;
  std::vector<Moments> entries;
  for (int i = 0; i < draws; ++i) {
    const auto got = run(layer, 0, [&](Var<double> h) { return layer.loss(h, one, rng); });
    sums.add(std::exp(got[0]()));
    std::size_t at = 0;
    for (std::size_t k = 1; k < got.size(); ++k)
      for (const double g : got[k]) {
        if (entries.size() == at) entries.emplace_back();
        entries[at++].add(g);
      }
  }
  const double root = std::sqrt(static_cast<double>(draws));
  CHECK(sums.deviation() > 0.01 * z);
  CHECK(std::abs(sums.mean - z) <= 5 * sums.deviation() / root);
  // A gradient is N / Z with E N and E Z right. Its bias is E (N / Z - EN / EZ)(EZ - Z) / EZ, by Cauchy and Schwarz at
  // most the deviation of N / Z times that of Z / EZ; five standard errors are added.
  const double of_sum = sums.deviation() / z;
  double off = 0, size = 0;
  std::size_t at = 0;
  for (std::size_t k = 1; k < want.size(); ++k)
    for (const double g : want[k]) {
      const Moments& m = entries[at++];
      CHECK(std::abs(m.mean - g) <= m.deviation() * (of_sum + 5 / root) + 1e-14);
      off += (m.mean - g) * (m.mean - g);
      size += g * g;
    }
  CHECK(std::sqrt(off / size) < 0.1);
}

TEST_CASE("sampled softmax: more samples bring the gradient nearer") {
  double last = INFINITY;
  for (const Index samples : {2, 5, 9, 11}) {
    auto layer = layer_of(samples);
    const auto want = run(layer, 0, [&](Var<double> h) { return layer.full_loss(h, targets); });
    Rng rng{9};
    double off = 0;
    for (int i = 0; i < 200; ++i) {
      const auto got = run(layer, 0, [&](Var<double> h) { return layer.loss(h, targets, rng); });
      for (std::size_t k = 0; k < want[2].size(); ++k) off += std::pow(got[2].data()[k] - want[2].data()[k], 2);
    }
    CHECK(off < 0.8 * last);
    last = off;
  }
}

TEST_CASE("sampled softmax: gradients agree with differences, also of ragged rows") {
  for (const Index samples : {1, 5, 12}) {
    auto layer = layer_of(samples);
    Parameter<double> h(sequence(0.7));
    for (const Reduction reduction : {Reduction::mean, Reduction::none}) {
      const auto report = check_gradients(
          [&](Tape<double>& tape) -> Var<double> {
            Rng rng{10};
            return sum(square(layer.loss(tape.use(h), targets, rng, reduction)));
          },
          {&layer.weight, &layer.bias, &h});
      INFO(report.text());
      CHECK(report);
    }
  }
  auto layer = layer_of(3);
  Parameter<double> h(sequence(0.7));
  const auto report = check_gradients(
      [&](Tape<double>& tape) -> Var<double> {
        return layer.full_loss(tape.use(h), targets) + mean(square(layer.log_probabilities(tape.use(h))));
      },
      {&layer.weight, &layer.bias, &h});
  INFO(report.text());
  CHECK(report);
}

TEST_CASE("sampled softmax: padding is not read") {
  auto layer = layer_of(5);
  for (const bool full : {false, true}) {
    const auto loss = [&](Var<double> h) {
      Rng rng{11};
      return full ? layer.full_loss(h, targets) : layer.loss(h, targets, rng);
    };
    const auto got = run(layer, NAN, loss), want = run(layer, 0, loss);
    for (std::size_t k = 0; k < want.size(); ++k) CHECK(got[k] == want[k]);
  }
}

TEST_CASE("sampled softmax: nothing costs more for there being more classes") {
  const auto bytes_and_touched = [](Index all) {
    Rng rng{12};
    SampledSoftmax<float> layer(width, all, 20, rng);
    Tape<float> tape;
    const auto h = tape.variable(Tensor<float>(xt::cast<float>(sequence(0))));
    tape.backward(layer.loss(h, targets, rng));
    std::pair<std::size_t, Index> result{tape.bytes(), 0};
    layer.weight.gradient().for_each_run([&](Index, Index count) { result.second += count; });
    Index biases = 0;
    layer.bias.gradient().for_each_run([&](Index, Index count) { biases += count; });
    CHECK(biases * width == result.second);
    CHECK(result.second <= (20 + 7) * width);
    return result;
  };
  CHECK(bytes_and_touched(1000).first == bytes_and_touched(300'000).first);
}

TEST_CASE_TEMPLATE("sampled softmax: large logits give finite losses and gradients", T, float, double) {
  Rng rng{13};
  SampledSoftmax<T> layer(1, 4, 3, rng);
  std::ranges::copy(std::array<T, 4>{1, -1, 0, 1}, layer.weight.edit().begin());
  for (const T size : {T(1e4), T(-1e4)})
    for (const std::int32_t target : {0, 1, 3}) {
      Tape<T> tape;
      const auto h = tape.variable(make_tensor<T>({1, 1}, size));
      const auto loss = layer.loss(h, std::vector<std::int32_t>{target}, rng);
      CHECK(std::isfinite(loss.item()));
      tape.backward(loss);
      CHECK(std::isfinite(h.grad()(0, 0)));
      for (const T g : layer.weight.grad()) CHECK(std::isfinite(g));
    }
}

TEST_CASE("sampled softmax: what does not fit is an error in a sentence") {
  Rng rng{14};
  CHECK_THROWS_WITH_AS(SampledSoftmax<double>(4, 10, 0, rng),
                       "sampled_softmax: width 4, classes 10 and samples 0 must be positive", ValueError);
  CHECK_THROWS_WITH_AS(sample_log_uniform(0, 3, rng), "sample_log_uniform: 0 classes and 3 samples must be positive",
                       ValueError);
  const auto layer = layer_of(5);
  Tape<double> tape;
  const auto h = tape.constant(sequence(0));
  auto wrong = targets;
  wrong[4] = 12;
  CHECK_THROWS_WITH_AS(layer.loss(h, wrong, rng), "sampled_softmax: class 12 of row 4 is outside 0 .. 11", IndexError);
  CHECK_THROWS_WITH_AS(layer.loss(h, std::span(targets).first(4), rng), "sampled_softmax: 4 targets for [4, 3, 4]",
                       ShapeError);
  const std::vector<std::int32_t> none(12, -1);
  CHECK_THROWS_WITH_AS(layer.loss(h, none, rng), "sampled_softmax: there is no target to average over", ValueError);
  CHECK(layer.loss(h, none, rng, Reduction::sum).item() == 0);
  CHECK_THROWS_AS(layer.full_loss(h, none), ValueError);
  CHECK_THROWS_AS(layer.loss(tape.zeros({2, 5}), none, rng), ShapeError);
}
