#include <doctest/doctest.h>

#include <filesystem>

#include <unroll/layers/check_cell.h>
#include <unroll/layers/layers.h>
#include <unroll/optim/optim.h>

// The project in one file.

using namespace unroll;

namespace {

/// A user's cell: the state leaks towards what the input and the state suggest, at a learned rate for each unit.
template <Real T = float>
struct LeakyCell {
  using State = Var<T>;
  Index width;
  Linear<T> input;
  Matrix<T> recurrent;
  Parameter<T> rate;

  LeakyCell(Index in, Index width, Rng& rng)
      : width(width), input(in, width, rng), recurrent(width, width, rng), rate(make_tensor<T>({width}, T(0))) {}

  State initial(Tape<T>& tape, Index batch) const { return tape.zeros({batch, width}); }
  Var<T> project(Var<T> xs) const { return input(xs); }
  State step(Var<T> x, State h) const { return h + sigmoid(rate) * (tanh(addmm(x, h, recurrent.weight)) - h); }
  static void fields(auto& m, auto&& f) { f("input", m.input), f("recurrent", m.recurrent), f("rate", m.rate); }
};

/// Reads symbols, then says them again.
struct Copier {
  Embedding<> embed;
  GRU<> rnn;
  Linear<> head;

  Copier(Index symbols, Index width, Rng& rng)
      : embed(symbols + 1, 8, rng), rnn(8, width, rng), head(width, symbols, rng) {}
  Var<float> loss(Tape<>& tape, const Tokens& inputs, const Tokens& targets) const {
    return cross_entropy(head(rnn(embed(tape, inputs))), targets);
  }
  static void fields(auto& m, auto&& f) { f("embed", m.embed), f("rnn", m.rnn), f("head", m.head); }
};

/// Four symbols, then four blanks (the last id) during which they are to be repeated; nothing is asked before.
std::pair<Tokens, Tokens> copy_task(Index symbols, Index batch, Rng& rng) {
  Tokens inputs({8, batch},
                std::vector<std::int32_t>(static_cast<std::size_t>(8 * batch), static_cast<std::int32_t>(symbols)));
  Tokens targets({8, batch}, std::vector<std::int32_t>(static_cast<std::size_t>(8 * batch), -1));
  for (Index i = 0; i < 4 * batch; ++i) {
    const auto id = static_cast<std::int32_t>(rng.below(symbols));
    inputs.ids[static_cast<std::size_t>(i)] = id;
    targets.ids[static_cast<std::size_t>(i + 4 * batch)] = id;
  }
  return {inputs, targets};
}

}  // namespace

TEST_CASE("tiny: a tape differentiates what was computed on it") {
  Tape<double> tape;
  const auto x = tape.variable(3.0), y = tape.variable(2.0);
  tape.backward(Var(x * x * y + sin(y)));
  CHECK(x.grad()() == doctest::Approx(12));
  CHECK(y.grad()() == doctest::Approx(9 + std::cos(2.0)));
}

TEST_CASE("tiny: a formula is one node, whatever its size") {
  Tape<double> tape;
  const auto a = tape.variable(xt::xarray<double>{{1, 2, 3}, {4, 5, 6}}),
             b = tape.variable(xt::xarray<double>{1, 0, -1});
  const auto before = tape.size();
  const Var<double> y = tanh(a * b + 1) * sigmoid(a) - b;
  CHECK(tape.size() == before + 1);
  CHECK(y.value()(1, 2) == doctest::Approx(std::tanh(-5.0) / (1 + std::exp(-6.0)) + 1));
}

TEST_CASE("tiny: a user's cell is certified in one line") {
  const auto report = check_cell<LeakyCell>({.in = 2, .width = 3});
  INFO(report.text());
  CHECK(report);
}

TEST_CASE("tiny: a batch read in both directions, padding skipped") {
  Rng rng{1};
  const Bidirectional<LSTM<>> context(3, 4, rng);
  Tensor<> x = init::normal<float>({5, 2, 3}, 1, rng);
  for (std::size_t t = 2; t < 5; ++t)
    for (std::size_t j = 0; j < 3; ++j) x(t, 1, j) = std::numeric_limits<float>::quiet_NaN();
  Tape tape;
  const auto [outputs, last] = context(tape.constant(x), std::vector<Index>{5, 2});
  CHECK(outputs.shape() == Shape{5, 2, 8});
  CHECK(last.forward.h.value()(1, 0) == outputs.value()(1, 1, 0));
  CHECK(last.backward.h.value()(1, 0) == outputs.value()(0, 1, 4));
  CHECK(std::isfinite(sum(outputs).item()));
}

TEST_CASE("tiny: a network learns to copy, is saved and loaded") {
  Rng rng{2};
  Copier model(3, 24, rng);
  Adam adam(parameters(model), {.rate = 1e-2, .clip = 1.0});
  Tape tape;
  float first = 0, last = 0;
  for (int step = 0; step < 300; ++step) {
    const auto [inputs, targets] = copy_task(3, 16, rng);
    const auto loss = model.loss(tape, inputs, targets);
    last = loss.item();
    if (step == 0) first = last;
    tape.backward(loss);
    adam.step();
    tape.rewind();
  }
  CHECK(first == doctest::Approx(std::log(3.0)).epsilon(0.2));
  CHECK(last < 0.5f * first);

  const auto path = std::filesystem::temp_directory_path() / "unroll_tiny_test.safetensors";
  save(model, path, {{"task", "copy"}});
  Copier other(3, 24, rng);
  CHECK(load(other, path).at("task") == "copy");
  std::filesystem::remove(path);
  const auto [inputs, targets] = copy_task(3, 16, rng);
  CHECK(other.loss(tape, inputs, targets).item() == model.loss(tape, inputs, targets).item());
}
