#include <layers/compare.h>
#include <unroll/autograd/check/gradients.h>
#include <unroll/layers/bridge.h>
#include <unroll/layers/rnn.h>

using namespace unroll;

TEST_CASE("bridge: every array of the decoder's state is made of all of a stacked bidirectional encoder's") {
  Rng rng{1};
  using Encoder = Stacked<Bidirectional<LSTM<double>>>;
  Encoder encoder(2, 3, 2, rng);
  const LSTMCell<double> cell(2, 4, rng);
  Bridge<LSTMCell<double>> bridge(encoder, cell, rng);
  CHECK(bridge.maps.size() == 2);
  CHECK(bridge.maps[0].weight.shape() == Shape{2 * 2 * 2 * 3, 4});
  Parameter<double> xs(random_tensor({4, 3, 2}, rng));
  const std::vector<Index> lengths{4, 1, 3};
  auto listed = parameters<double>(bridge);
  for (auto* p : parameters<double>(encoder)) listed.push_back(p);
  listed.push_back(&xs);
  const auto report = check_gradients(
      [&](Tape<double>& tape) {
        const auto start = bridge(encoder(tape.use(xs), lengths).last, cell);
        return sum(square(start.h - 0.1)) + sum(square(start.c + 0.1)) * 0.5;
      },
      listed);
  INFO(report.text());
  CHECK(report);

  Tape<double> tape;
  const auto last = encoder(tape.use(xs), lengths).last;
  std::vector<Var<double>> parts;
  for_each_var(last, [&](const Var<double>& v) { parts.push_back(v); });
  const Var<double> want = tanh(bridge.maps[1](concat(std::span<const Var<double>>(parts), -1)));
  CHECK(distance(bridge(last, cell).c.value(), want.value()) == 0);
}

TEST_CASE("bridge: from one array to one") {
  Rng rng{2};
  const GRU<double> encoder(2, 3, rng);
  const GRUCell<double> cell(2, 5, rng);
  const Bridge<GRUCell<double>> bridge(encoder, cell, rng);
  Tape<double> tape;
  CHECK(bridge(tape.zeros({4, 3}), cell).shape() == Shape{4, 5});
  CHECK_THROWS_AS(bridge(tape.zeros({4, 2}), cell), ShapeError);
}
