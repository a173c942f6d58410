#include <layers/compare.h>
#include <unroll/autograd/check/gradients.h>
#include <unroll/layers/pointer_generator.h>

using namespace unroll;

namespace {

// Six symbols are known; 6 and up are words of the source alone. Row 1 has two source steps and three targets.
const Tokens source = Tokens::batch({{2, 6, 2, 3}, {7, 1}});
const Tokens targets = Tokens::batch({{2, 6, 0, 5}, {7, 4, 1}});

struct Mixture {
  Rng rng{1};
  Parameter<double> logits{random_tensor({4, 2, 6}, rng)}, gate{random_tensor({4, 2, 1}, rng)},
      scores{random_tensor({4, 2, 4}, rng)};

  Var<double> weights(Tape<double>& tape) const {
    const auto valid = tape.constant(Shape{1, 2, 4}, std::array{1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0});
    return softmax(where(valid, tape.use(scores), -std::numeric_limits<double>::infinity()));
  }
  Var<double> loss(Tape<double>& tape) const {
    return pointer_loss(tape.use(logits), tape.use(gate), weights(tape), source, targets);
  }
};

}  // namespace

TEST_CASE("pointer loss: the value is that of the paper's equations") {
  const Mixture m;
  Tape<double> tape;
  const auto w = m.weights(tape).value();
  double total = 0;
  int count = 0;
  for (std::size_t t = 0; t < 4; ++t)
    for (std::size_t b = 0; b < 2; ++b) {
      const std::int32_t id = targets.ids[t * 2 + b];
      if (id < 0) continue;
      const double p = 1 / (1 + std::exp(-m.gate.value()(t, b, 0)));
      double sum = 0, copied = 0;
      for (std::size_t k = 0; k < 6; ++k) sum += std::exp(m.logits.value()(t, b, k));
      for (std::size_t s = 0; s < 4; ++s) copied += source.ids[s * 2 + b] == id ? w(t, b, s) : 0;
      const double made = id < 6 ? std::exp(m.logits.value()(t, b, static_cast<std::size_t>(id))) / sum : 0;
      total -= std::log(p * made + (1 - p) * copied);
      ++count;
    }
  CHECK(m.loss(tape).item() == doctest::Approx(total / count).epsilon(1e-14));
}

TEST_CASE("pointer loss: gradients agree with differences, and rows without a target are not read") {
  Mixture m;
  const auto report =
      check_gradients([&](Tape<double>& tape) { return m.loss(tape); }, {&m.logits, &m.gate, &m.scores});
  INFO(report.text());
  CHECK(report);
  std::vector<Tensor<double>> found;
  for (const double padding : {double(NAN), 0.0}) {
    Tensor<double> logits = m.logits.value(), gate = m.gate.value();
    for (std::size_t k = 0; k < 6; ++k) logits(3, 1, k) = padding;
    gate(3, 1, 0) = padding;
    Tape<double> tape;
    Tensor<double> weights = m.weights(tape).value();
    for (std::size_t s = 0; s < 4; ++s) weights(3, 1, s) = padding;
    const auto x = tape.variable(logits), g = tape.variable(gate), w = tape.variable(weights);
    tape.backward(pointer_loss(x, g, w, source, targets));
    found.insert(found.end(), {x.grad(), g.grad(), w.grad()});
  }
  for (std::size_t i = 0; i < 3; ++i) CHECK(found[i] == found[i + 3]);
}

TEST_CASE("pointer loss: what is all but impossible has a finite loss and gradient") {
  Tape<float> tape;
  Tensor<float> logits = make_tensor<float>({1, 1, 2}, 0.0F);
  logits(0, 0, 1) = 400;
  const auto x = tape.variable(logits), gate = tape.variable(make_tensor<float>({1, 1, 1}, 0.0F)),
             w = tape.variable(make_tensor<float>({1, 1, 1}, 0.0F));
  const auto loss = pointer_loss(x, gate, w, Tokens(1, 1, {0}), std::vector<std::int32_t>{0});
  tape.backward(loss);
  CHECK(std::isfinite(loss.item()));
  CHECK(std::isfinite(xt::sum(x.grad())() + xt::sum(gate.grad())() + xt::sum(w.grad())()));
}

TEST_CASE("pointer loss: what does not fit is refused") {
  Tape<double> tape;
  const auto x = tape.zeros({1, 1, 3}), g = tape.zeros({1, 1, 1}), w = tape.zeros({1, 1, 2});
  const Tokens two(2, 1, {4, 1});
  const std::vector<std::int32_t> five{5}, none{-1}, both{1, 1};
  CHECK_THROWS_WITH_AS(pointer_loss(x, g, w, two, five),
                       "pointer_loss: target 5 of row 0 is neither among 3 symbols nor in its source", ValueError);
  CHECK_THROWS_WITH_AS(pointer_loss(x, g, w, two, none), "pointer_loss: there is no target to average over",
                       ValueError);
  CHECK_THROWS_WITH_AS(pointer_loss(x, g, w, two, both), "pointer_loss: 2 targets for logits [1, 1, 3]", ShapeError);
  CHECK_THROWS_WITH_AS(
      pointer_loss(x, g, w, Tokens(3, 1, {4, 1, 0}), none),
      "pointer_loss: logits [1, 1, 3], a gate [1, 1, 1], weights [1, 1, 2] and a source [3, 1] do not fit", ShapeError);
}

TEST_CASE("copying: an unknown word becomes the source word that was attended to most") {
  Tape<double> tape;
  const auto weights = tape.constant(Tensor<double>{{0.7, 0.2, 0.1}, {0.1, 0.3, 0.6}, {0.2, 0.5, 0.3}});
  const std::vector<std::string> source{"Das", "Haus", "Meiers"};
  std::vector<std::string> target{"the", "<unk>", "<unk>"};
  copy_unknown(target, std::string("<unk>"), std::span<const std::string>(source), weights);
  CHECK(target == std::vector<std::string>{"the", "Meiers", "Haus"});
  CHECK(most_attended(weights) == std::vector<Index>{0, 2, 1});
  CHECK_THROWS_WITH_AS(
      copy_unknown(target, std::string("<unk>"), std::span<const std::string>(source), slice(weights, 0, 0, 2)),
      "copy_unknown: weights [2, 3] of 3 target words and 3 source words", ShapeError);
}
