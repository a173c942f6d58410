#include <layers/compare.h>
#include <unroll/autograd/check/gradients.h>

using namespace unroll;

namespace {

template <Real T>
AdaptiveSoftmax<T> stored(const Fixture& f) {
  Rng rng{1};
  AdaptiveSoftmax<T> layer(8, 17, {4, 7, 10}, rng, {.division = f.number("div_value"), .head_bias = true});
  const auto set = [&](Parameter<T>& p, const std::string& name) {
    CHECK(p.shape() == shape_of(f.at(name)));
    p.edit() = f.as<T>(name);
  };
  set(layer.head, "head");
  set(*layer.head_bias, "head_bias");
  for (std::size_t i = 0; i < layer.clusters.size(); ++i) {
    set(layer.clusters[i].down, fmt::format("down.{}", i));
    set(layer.clusters[i].up, fmt::format("up.{}", i));
  }
  return layer;
}

template <Real T>
void expect_gradients(const Fixture& f, AdaptiveSoftmax<T>& layer, const Var<T>& x, const std::string& suffix) {
  f.expect("grad/x." + suffix, x.grad());
  f.expect("grad/head." + suffix, layer.head.grad());
  f.expect("grad/head_bias." + suffix, layer.head_bias->grad());
  for (std::size_t i = 0; i < layer.clusters.size(); ++i) {
    f.expect(fmt::format("grad/down.{}.{}", i, suffix), layer.clusters[i].down.grad());
    f.expect(fmt::format("grad/up.{}.{}", i, suffix), layer.clusters[i].up.grad());
  }
  for (Parameter<T>* p : parameters<T>(layer)) p->clear_grad();
}

/// 5 steps of 3 rows, of lengths 5, 2 and 3; the classes of the valid ones are of every cluster.
const std::vector<std::int32_t> targets{0, 11, 3, 5, 19, 4, 2, -1, 9, 6, -1, -1, 1, -1, -1};

Tensor<double> sequence(double padding) {
  Rng rng{2};
  Tensor<double> x = random_tensor({5, 3, 6}, rng);
  for (std::size_t r = 0; r < targets.size(); ++r)
    if (targets[r] < 0) std::fill_n(x.data() + r * 6, 6, padding);
  return x;
}
AdaptiveSoftmax<double> small(bool bias = false) {
  Rng rng{3};
  return {6, 20, {3, 6, 10}, rng, {.division = 2, .head_bias = bias}};
}

}  // namespace

TEST_CASE_TEMPLATE("adaptive softmax: agrees with pytorch", T, float, double) {
  const Fixture f("adaptive_softmax");
  AdaptiveSoftmax<T> layer = stored<T>(f);
  const auto ids = f.integers<std::int32_t>("target");
  {
    Tape<T> tape;
    const auto x = tape.variable(f.as<T>("x"));
    f.expect("log_probabilities", layer.log_probabilities(x).value());
    const Var<T> each = layer.loss(x, ids, Reduction::none);
    f.expect("y.none", each.value());
    tape.backward(each, f.as<T>("seed_y"));
    expect_gradients(f, layer, x, "none");
  }
  Tape<T> tape;
  const auto x = tape.variable(f.as<T>("x"));
  const Var<T> loss = layer.loss(x, ids);
  f.expect("y.mean", loss.value());
  tape.backward(loss);
  expect_gradients(f, layer, x, "mean");
}

TEST_CASE("adaptive softmax: the probabilities of all classes sum to 1, and the loss is that of the target") {
  const auto layer = small();
  Tape<double> tape;
  const auto h = tape.constant(sequence(0.5));
  const auto log_p = layer.log_probabilities(h);
  CHECK(log_p.shape() == Shape{5, 3, 20});
  for (const double total : Var<double>(sum(exp(log_p), -1)).value()) CHECK(total == doctest::Approx(1).epsilon(1e-14));
  const auto each = layer.loss(h, targets, Reduction::none);
  for (std::size_t r = 0; r < targets.size(); ++r)
    CHECK(each.value().data()[r] ==
          doctest::Approx(targets[r] < 0 ? 0 : -log_p.value().data()[r * 20 + static_cast<std::size_t>(targets[r])])
              .epsilon(1e-13));
  CHECK(layer.loss(h, targets).item() == doctest::Approx(sum(each).item() / 10).epsilon(1e-13));
  CHECK(layer.loss(h, targets, Reduction::sum).item() == doctest::Approx(sum(each).item()).epsilon(1e-13));
  CHECK(sequence_mean(each, std::vector<Index>{5, 2, 3}).item() > 0);
}

TEST_CASE("adaptive softmax: gradients agree with differences, also of ragged rows") {
  for (const bool bias : {false, true}) {
    auto layer = small(bias);
    Parameter<double> h(sequence(0.7));
    auto listed = parameters<double>(layer);
    listed.push_back(&h);
    for (const Reduction reduction : {Reduction::mean, Reduction::none}) {
      const auto report = check_gradients(
          [&](Tape<double>& tape) -> Var<double> { return sum(square(layer.loss(tape.use(h), targets, reduction))); },
          listed);
      INFO(report.text());
      CHECK(report);
    }
    const auto report = check_gradients(
        [&](Tape<double>& tape) -> Var<double> { return mean(square(layer.log_probabilities(tape.use(h)) + 1.0)); },
        listed);
    INFO(report.text());
    CHECK(report);
  }
}

TEST_CASE("adaptive softmax: padding is not read, and targets of one cluster alone are enough") {
  auto layer = small();
  const auto run = [&](double padding) {
    Tape<double> tape;
    const auto h = tape.variable(sequence(padding));
    const auto loss = layer.loss(h, targets);
    tape.backward(loss);
    std::vector<Tensor<double>> result{loss.value(), h.grad()};
    for (auto* p : parameters<double>(layer)) result.emplace_back(p->grad()), p->clear_grad();
    return result;
  };
  const auto got = run(NAN), want = run(0);
  for (std::size_t k = 0; k < want.size(); ++k) CHECK(got[k] == want[k]);
  for (const std::int32_t one : {0, 4, 19}) {
    Tape<double> tape;
    const auto h = tape.constant(sequence(0));
    const auto log_p = layer.log_probabilities(h);
    CHECK(layer.loss(h, std::vector<std::int32_t>(15, one)).item() ==
          doctest::Approx(-mean(slice(log_p, -1, one, one + 1)).item()));
  }
}

TEST_CASE_TEMPLATE("adaptive softmax: large logits give finite losses and gradients", T, float, double) {
  Rng rng{4};
  AdaptiveSoftmax<T> layer(1, 6, {2, 4}, rng, {.division = 1});
  const auto matrix = [](const Shape& shape, std::initializer_list<T> x) {
    Tensor<T> m = make_tensor<T>(shape);
    std::ranges::copy(x, m.begin());
    return m;
  };
  layer.head.edit() = matrix({1, 4}, {1, -1, 0, -1});
  for (auto& cluster : layer.clusters) {
    cluster.down.edit() = matrix({1, 1}, {1});
    cluster.up.edit() = matrix({1, 2}, {1, -1});
  }
  Tape<T> tape;
  const auto h = tape.variable(matrix({4, 1}, {T(1e4), T(1e4), T(1e4), T(-1e4)}));
  const auto each = layer.loss(h, std::vector<std::int32_t>{0, 1, 3, 4}, Reduction::none);
  CHECK(each.value()(0) == 0);
  CHECK(each.value()(1) == doctest::Approx(2e4));
  CHECK(each.value()(2) == doctest::Approx(3e4));
  CHECK(each.value()(3) == doctest::Approx(2e4 + std::log(2)));
  tape.backward(sum(each));
  for (const T g : h.grad()) CHECK(std::isfinite(g));
  for (auto* p : parameters<T>(layer))
    for (const T g : p->grad()) CHECK(std::isfinite(g));
}

TEST_CASE("adaptive softmax: what does not fit is an error in a sentence") {
  Rng rng{5};
  using Layer = AdaptiveSoftmax<double>;
  CHECK_THROWS_WITH_AS(Layer(4, 20, {6, 6}, rng),
                       "adaptive_softmax: the cutoffs 6, 6 do not increase from above 0 to below 20 classes",
                       ValueError);
  CHECK_THROWS_AS(Layer(4, 20, {8, 4}, rng), ValueError);
  CHECK_THROWS_AS(Layer(4, 20, {0, 4}, rng), ValueError);
  CHECK_THROWS_AS(Layer(4, 20, {4, 20}, rng), ValueError);
  CHECK_THROWS_WITH_AS(Layer(4, 20, {}, rng), "adaptive_softmax: there is no cutoff", ValueError);
  CHECK_THROWS_WITH_AS(Layer(4, 20, {4}, rng, {.division = 0.5}), "adaptive_softmax: the division 0.5 is below 1",
                       ValueError);
  auto layer = small();
  parameters<double>(layer);
  Tape<double> tape;
  const auto h = tape.constant(sequence(0));
  auto wrong = targets;
  wrong[4] = 20;
  CHECK_THROWS_WITH_AS(layer.loss(h, wrong), "adaptive_softmax: class 20 of row 4 is outside 0 .. 19", IndexError);
  CHECK_THROWS_WITH_AS(layer.loss(h, std::span(targets).first(4)), "adaptive_softmax: 4 targets for [5, 3, 6]",
                       ShapeError);
  const std::vector<std::int32_t> none(15, -1);
  CHECK_THROWS_WITH_AS(layer.loss(h, none), "adaptive_softmax: there is no target to average over", ValueError);
  CHECK(layer.loss(h, none, Reduction::sum).item() == 0);
  CHECK_THROWS_WITH_AS(layer.loss(tape.zeros({2, 5}), none), "adaptive_softmax: rows [..., 6] are needed, not [2, 5]",
                       ShapeError);
  CHECK_THROWS_AS(layer.log_probabilities(tape.zeros({2, 5})), ShapeError);
}
