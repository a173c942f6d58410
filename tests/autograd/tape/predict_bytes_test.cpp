#include <doctest/doctest.h>

#include <unroll/layers/layers.h>

using namespace unroll;

namespace {

/// What a tape takes in the end, of one program over n steps.
template <class L>
void expect_predicted(const L& layer, Index steps, Index unit, double tolerance) {
  const auto program = [&](Tape<>& tape, Index n) {
    return Var<>(sum(layer(tape.filled({n, 4, 8}, 0.5F)).outputs[n - 1]));
  };
  Tape<> tape;
  Gradients<float> gradients;
  tape.backward(program(tape, steps), gradients);
  const auto predicted = static_cast<double>(predict_bytes(program, steps, unit));
  CHECK(predicted == doctest::Approx(static_cast<double>(tape.bytes())).epsilon(tolerance));
}

}  // namespace

TEST_CASE("predict_bytes: a long sequence from two short ones") {
  Rng rng{1};
  const LSTM<> layer(8, 16, rng);
  expect_predicted(layer, 1000, 16, 0.02);
  expect_predicted(layer, 30, 16, 1e-9);
  expect_predicted(Stacked<GRU<>>(8, 16, 3, rng), 700, 10, 0.02);
}

TEST_CASE("predict_bytes: segments that are computed again") {
  Rng rng{2};
  const LSTMCell<> cell(8, 16, rng);
  for (const Index segment : {1, 10, 50}) expect_predicted(Checkpointed(cell, segment), 1000, segment, 0.03);
}

TEST_CASE("predict_bytes: no gradient is touched, and nonsense is refused") {
  Rng rng{3};
  LSTM<> layer(8, 16, rng);
  const auto program = [&](Tape<>& tape, Index n) { return Var<>(sum(layer(tape.filled({n, 1, 8}, 1.0F)).outputs)); };
  CHECK(predict_bytes(program, 100) > 0);
  for (const Parameter<float>* p : parameters(layer))
    CHECK(std::all_of(p->grad().begin(), p->grad().end(), [](float g) { return g == 0; }));
  CHECK_THROWS_WITH_AS(predict_bytes(program, 0), "predict_bytes: 0 steps in units of 16", ValueError);
}
