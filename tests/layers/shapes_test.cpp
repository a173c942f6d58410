#include <layers/compare.h>
#include <unroll/autograd/check/gradients.h>
#include <unroll/optim/optim.h>

using namespace unroll;

// The five shapes of sequence problems: one to one, one to many, many to one, many to many of equal and of unequal
// lengths. Each has correct gradients, and learns.

namespace {

using Program = std::function<Var<double>(Tape<double>&)>;

void expect_right_and_learning(const Program& loss, const std::vector<Parameter<double>*>& parameters, int steps = 60,
                               double share = 0.5) {
  const auto report = check_gradients(loss, parameters);
  INFO(report.text());
  CHECK(report);
  Adam<double> adam(parameters, {.rate = 0.03});
  double first = 0, last = 0;
  for (int i = 0; i < steps; ++i) {
    Tape<double> tape;
    const Var<double> value = loss(tape);
    last = value.item();
    if (i == 0) first = last;
    tape.backward(value);
    adam.step();
  }
  CHECK(last < share * first);
}

struct Model {
  GRU<double> rnn;
  Linear<double> head;
  Model(Index in, Index out, std::uint64_t seed) : Model(in, out, Rng(seed)) {}
  Model(Index in, Index out, Rng rng) : rnn(in, 5, rng), head(5, out, rng) {}
  static void fields(auto& m, auto&& f) { f("rnn", m.rnn), f("head", m.head); }
};

struct Pair {
  Model encoder, decoder;
  static void fields(auto& m, auto&& f) { f("encoder", m.encoder.rnn), f("decoder", m.decoder); }
};

Rng data_rng{11};
const Tensor<double> sequence = random_tensor({6, 4, 3}, data_rng), single = random_tensor({4, 3}, data_rng);
const std::vector<std::int32_t> class_of_row{0, 1, 1, 2};
const std::vector<Index> lengths{6, 2, 4, 1};

std::vector<std::int32_t> classes(std::size_t count) {
  std::vector<std::int32_t> ids;
  for (std::size_t i = 0; i < count; ++i) ids.push_back(static_cast<std::int32_t>(i * i % 3));
  return ids;
}

}  // namespace

TEST_CASE("shapes: one to one") {
  Model model(3, 3, 1);
  expect_right_and_learning(
      [&](Tape<double>& tape) {
        const auto h = model.rnn.step(tape.constant(single), model.rnn.initial(tape, 4));
        return Var<double>(cross_entropy(model.head(h), class_of_row));
      },
      parameters<double>(model));
}

TEST_CASE("shapes: one to many, each output being the next input") {
  Model model(3, 3, 2);
  const auto target = random_tensor({5, 4, 3}, data_rng, 0.4);
  expect_right_and_learning(
      [&](Tape<double>& tape) {
        Var<double> x = tape.constant(single), h = model.rnn.initial(tape, 4);
        std::vector<Var<double>> outputs;
        for (Index t = 0; t < 5; ++t) {
          h = model.rnn.step(x, h);
          x = model.head(h);
          outputs.push_back(x);
        }
        return Var<double>(mse(stack(std::span<const Var<double>>(outputs)), tape.constant(target)));
      },
      parameters<double>(model), 150, 0.7);
}

TEST_CASE("shapes: many to one, by the last state, the mean and the maximum over time") {
  for (const int kind : {0, 1, 2}) {
    CAPTURE(kind);
    Model model(3, 3, 3);
    expect_right_and_learning(
        [&](Tape<double>& tape) {
          const auto h = model.rnn(tape.constant(sequence), lengths);
          const Var<double> summary = kind == 0   ? h.last
                                      : kind == 1 ? mean_over_time(h, lengths)
                                                  : max_over_time(h, lengths);
          return Var<double>(cross_entropy(model.head(summary), class_of_row));
        },
        parameters<double>(model), 100);
  }
}

TEST_CASE("shapes: many to many, of equal lengths") {
  Model model(3, 3, 4);
  auto targets = classes(24);
  for (Index t = 0; t < 6; ++t)
    for (Index b = 0; b < 4; ++b)
      if (t >= lengths[static_cast<std::size_t>(b)]) targets[static_cast<std::size_t>(t * 4 + b)] = -1;
  expect_right_and_learning(
      [&](Tape<double>& tape) {
        return Var<double>(cross_entropy(model.head(model.rnn(tape.constant(sequence), lengths)), targets));
      },
      parameters<double>(model), 100);
}

TEST_CASE("shapes: many to many, of unequal lengths: the encoder's last state starts the decoder") {
  Pair pair{Model(3, 3, 5), Model(3, 3, 6)};
  const auto fed = random_tensor({3, 4, 3}, data_rng);
  const auto targets = classes(12);
  expect_right_and_learning(
      [&](Tape<double>& tape) {
        const auto thought = pair.encoder.rnn(tape.constant(sequence), lengths).last;
        const auto outputs = pair.decoder.rnn(tape.constant(fed), thought);
        return Var<double>(cross_entropy(pair.decoder.head(outputs), targets));
      },
      parameters<double>(pair), 120);
}
