#include <layers/compare.h>
#include <unroll/layers/layers.h>

using namespace unroll;

// What an inspector sees, against the same computed by other means.

namespace {

/// h' = x + 0.5 h, with a gate of no consequence whose values are known.
struct Halving {
  using State = Var<double>;
  Parameter<double> half{filled_tensor({3, 3})};
  static Tensor<double> filled_tensor(const Shape& shape) {
    Tensor<double> m = make_tensor<double>(shape, 0.0);
    for (Index i = 0; i < 3; ++i) m(i, i) = 0.5;
    return m;
  }
  State initial(Tape<double>& tape, Index batch) const { return tape.zeros({batch, 3}); }
  Var<double> project(Var<double> xs) const { return xs + 0.0; }
  State step(Var<double> x, State h) const { return matmul(h, half) + x * (1.0 + 1e-300 * sigmoid(x, "known")); }
  static void fields(auto& m, auto&& f) { f("half", m.half); }
};

struct Reader {
  Stacked<Bidirectional<GRU<>>> encoder;
  static void fields(auto& m, auto&& f) { f("encoder", m.encoder); }
};

Tensor<double> filled(const Shape& shape, double value) { return make_tensor<double>(shape, value); }

}  // namespace

TEST_CASE("inspect: error and Jacobian of a recurrence that halves its state") {
  Recurrent<Halving> layer;
  Tape<double> tape;
  Inspector inspector(tape);
  const auto unrolled = layer(tape.constant(filled({6, 2, 3}, 1.0)));
  const auto found = inspector.look(sum(unrolled.outputs[5]), {.seeds = 400});
  REQUIRE(found.layers.size() == 1);
  const LayerInspection& seen = found.layers[0];
  REQUIRE(seen.error.size() == 6);
  for (std::size_t k = 0; k < 6; ++k) {
    CHECK(seen.error[k] == doctest::Approx(std::sqrt(3.0) * std::pow(0.5, k)));
    CHECK(seen.jacobian[k] / seen.jacobian[0] == doctest::Approx(std::pow(0.5, k)));
  }
  CHECK(seen.jacobian[0] == doctest::Approx(1).epsilon(0.05));  // of random seeds
  CHECK(seen.memory(0.2) == 2);
  CHECK(seen.memory(0.25) == 2);
  CHECK(seen.memory(1e-9) == 5);
  REQUIRE(seen.gates.size() == 1);
  CHECK(seen.gates[0].name == "known");
  CHECK(seen.gates[0].count == 36);
  CHECK(seen.gates[0].histogram[14] == 36);  // sigmoid(1) = 0.731
}

TEST_CASE("inspect: the errors of an LSTM are the gradients of its outputs") {
  Rng rng{1};
  const LSTM<double> layer(3, 4, rng);
  const Tensor<double> xs = random_tensor({7, 2, 3}, rng);
  const auto loss = [](const auto& unrolled) { return Var<double>(sum(square(unrolled.outputs[6]))); };
  Tape<double> tape;
  std::vector<double> seen;
  {
    Inspector inspector(tape);
    seen = inspector.look(loss(layer(tape.constant(xs)))).layers.at(0).error;
  }
  CHECK(tape.watcher() == nullptr);
  tape.rewind();
  const auto unrolled = layer(tape.constant(xs));
  const Var<double> value = loss(unrolled);
  for (Index t = 0; t < 7; ++t) {
    const auto g = tape.gradient(value, filled({}, 1.0), unrolled.steps[static_cast<std::size_t>(t)].h);
    double squares = 0;
    for (const double x : g) squares += x * x;
    CHECK(seen[static_cast<std::size_t>(6 - t)] == doctest::Approx(std::sqrt(squares / 2)).epsilon(1e-12));
  }
}

TEST_CASE("inspect: the Jacobian of an LSTM is that of its whole state, by differences") {
  Rng rng{2};
  const Index width = 2;
  LSTM<double> layer(3, width, rng);
  for (double& w : layer.cell.recurrent.weight.edit()) w *= 2;
  const Tensor<double> xs = random_tensor({5, 1, 3}, rng);
  Tape<double> tape;
  Inspector inspector(tape);
  const auto unrolled = layer(tape.constant(xs));
  const auto seen = inspector.look(sum(unrolled.outputs[4]), {.seeds = 4000}).layers.at(0).jacobian;
  // The state after the last step, of that after step t with one entry moved.
  const auto run_from = [&](Index t, std::array<double, 4> state) {
    Tape<double> plain = Tape<double>::inference();
    HiddenAndCell<double> s{plain.constant(Shape{1, width}, std::span<const double>(state).first(2)),
                            plain.constant(Shape{1, width}, std::span<const double>(state).last(2))};
    const Var<double> all = plain.constant(xs);
    for (Index i = t + 1; i < 5; ++i) s = layer.step(all[i], s);
    return std::array{s.h.value()(0, 0), s.h.value()(0, 1), s.c.value()(0, 0), s.c.value()(0, 1)};
  };
  Tape<double> plain = Tape<double>::inference();
  HiddenAndCell<double> s = layer.initial(plain, 1);
  const Var<double> all = plain.constant(xs);
  for (Index t = 0; t < 5; ++t) {
    s = layer.step(all[t], s);
    const std::array at{s.h.value()(0, 0), s.h.value()(0, 1), s.c.value()(0, 0), s.c.value()(0, 1)};
    double squares = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      auto up = at, down = at;
      up[i] += 1e-6;
      down[i] -= 1e-6;
      const auto a = run_from(t, up), b = run_from(t, down);
      for (std::size_t j = 0; j < 4; ++j) squares += std::pow((a[j] - b[j]) / 2e-6, 2);
    }
    CAPTURE(t);
    CHECK(seen[static_cast<std::size_t>(4 - t)] == doctest::Approx(std::sqrt(squares / 4)).epsilon(0.05));
  }
}

TEST_CASE("inspect: gates of a cell without weights are where their biases put them") {
  Rng rng{3};
  LSTM<float> layer(2, 8, rng);
  layer.cell.input.weight.edit().fill(0);
  layer.cell.recurrent.weight.edit().fill(0);
  layer.cell.input.bias.edit().fill(0);
  for (Index j = 0; j < 8; ++j) {
    layer.cell.input.bias.edit()(j) = j < 4 ? 4.0F : -4.0F;  // input gates: half of them open, half closed
    layer.cell.input.bias.edit()(8 + j) = 1;                 // forget gates: 0.731
  }
  Tape<> tape;
  Inspector inspector(tape);
  const auto unrolled = layer(tape.constant(make_tensor<float>({3, 5, 2}, 1.0F)));
  const auto found = inspector.look(sum(unrolled.outputs));
  const auto gate = [&](const std::string& name) {
    for (const GateValues& g : found.layers.at(0).gates)
      if (g.name == name) return g;
    FAIL("no gate " << name);
    return GateValues{};
  };
  CHECK(gate("input").count == 3 * 5 * 8);
  CHECK(gate("input").share_open() == 0.5);
  CHECK(gate("input").share_closed() == 0.5);
  CHECK(gate("forget").histogram[14] == 3 * 5 * 8);
  CHECK(gate("forget").share_open() == 0);
  CHECK(gate("output").histogram[10] == 3 * 5 * 8);
  CHECK(found.table().find("forget") != std::string::npos);
  CHECK(found.csv().find("gate forget,0.725,1\n") != std::string::npos);
}

TEST_CASE("inspect: what is seen changes nothing") {
  Rng rng{4};
  const Tensor<float> xs = random_tensor<float>({9, 3, 4}, rng);
  const std::vector<Index> lengths{4, 9, 0};
  for (const std::string& name : cell_names()) {
    CAPTURE(name);
    Recurrent<AnyCell<>> layer(4, 6, rng, name);
    const auto run = [&](bool watched) {
      Tape<> tape;
      std::optional<Inspector<float>> inspector;
      if (watched) inspector.emplace(tape);
      const auto unrolled = layer(tape.constant(xs), lengths);
      Gradients<float> gradients;
      const Var<> loss = sum(square(unrolled.outputs));
      tape.backward(loss, gradients);
      std::vector<Tensor<float>> all{Tensor<float>(unrolled.outputs.value())};
      for (const Parameter<float>* p : parameters(layer)) all.emplace_back(gradients.of(*p).values());
      if (watched) CHECK(inspector->look(loss).layers.at(0).error.size() == 9);
      return all;
    };
    const auto plain = run(false), seen = run(true);
    for (std::size_t i = 0; i < plain.size(); ++i) CHECK(distance(seen[i], plain[i]) < 1e-5);
  }
}

TEST_CASE("inspect: rows of different lengths count back from their own last step") {
  Rng rng{5};
  const GRU<double> layer(3, 4, rng);
  const Tensor<double> xs = random_tensor({6, 2, 3}, rng);
  const std::vector<Index> lengths{3, 6};
  Tape<double> tape;
  Inspector inspector(tape);
  const auto all = inspector.look(sum(layer(tape.constant(xs), lengths).last), {.seeds = 1}).layers.at(0);
  std::vector<std::vector<double>> alone;
  for (Index b = 0; b < 2; ++b) {
    tape.rewind();
    const Var<double> one = slice(slice(tape.constant(xs), 1, b, b + 1), 0, 0, lengths[static_cast<std::size_t>(b)]);
    alone.push_back(inspector.look(sum(layer(one).last)).layers.at(0).error);
  }
  for (std::size_t k = 0; k < 6; ++k) {
    const double want = k < 3 ? std::sqrt((alone[0][k] * alone[0][k] + alone[1][k] * alone[1][k]) / 2) : alone[1][k];
    CHECK(all.error[k] == doctest::Approx(want).epsilon(1e-12));
  }
}

TEST_CASE("inspect: layers have their names, and calls their numbers") {
  Rng rng{6};
  Reader model{{2, 3, 2, rng}};
  (void)parameters(model);
  Tape<> tape;
  Inspector inspector(tape);
  const auto xs = tape.constant(random_tensor<float>({4, 2, 2}, rng));
  const Var<> loss = sum(Var<>(model.encoder(xs)) + Var<>(model.encoder(xs)));
  std::vector<std::string> names;
  for (const LayerInspection& layer : inspector.look(loss).layers) names.push_back(layer.name);
  REQUIRE(names.size() == 8);
  CHECK(names[0] == "encoder/layers/0/forward/cell");
  CHECK(names[3] == "encoder/layers/1/backward/cell");
  CHECK(names[4] == "encoder/layers/0/forward/cell, call 2");
}

TEST_CASE("inspect: without a sequence there is nothing to see") {
  Rng rng{7};
  const GRU<> layer(2, 3, rng);
  Tape<> tape;
  Inspector inspector(tape);
  const Var<> x = tape.variable(1.0F);
  CHECK_THROWS_WITH_AS(inspector.look(x), "inspect: no recurrent layer ran on this tape since the inspector was made",
                       TapeError);
  layer(tape.zeros({3, 1, 2}));
  tape.rewind();
  CHECK_THROWS_AS(inspector.look(tape.variable(1.0F)), TapeError);
}
