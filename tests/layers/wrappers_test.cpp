#include <layers/compare.h>
#include <layers/mgu_cell.h>
#include <unroll/layers/check_cell.h>

using namespace unroll;

// Wrappers over any cell and any layer: what the certificate of each (certificate/certify.cpp) does not cover.

namespace {

void expect(const GradientReport& report) {
  INFO(report.text());
  CHECK(report);
  CHECK(report.entries > 100);
}

/// Certifies a wrapped cell whose state keeps books.
template <class Wrap>
void certify_over_qrnn(Wrap wrap) {
  // What draws a mask gives a batch other masks than its rows: only gradients are compared.
  expect(check_cell([&](Index in, Index width, Rng& rng) { return wrap(QRNNCell<double>(in, width, rng)); },
                    {.random = true}));
}

/// Outputs and all gradients of a layer on one sequence.
template <class L>
std::vector<Tensor<double>> run(const L& layer) {
  Rng rng{3};
  Tape<double> tape;
  const auto x = tape.variable(random_tensor({5, 3, 3}, rng));
  const auto outputs = layer(x).outputs;
  tape.backward(sum(square(outputs)));
  std::vector<Tensor<double>> found{outputs.value(), x.grad()};
  for_each_parameter(layer, [&](const std::string&, const Parameter<double>& p) { found.push_back(p.grad()); });
  return found;
}

/// That the cell in a wrapper which does nothing is the cell.
template <class C, class Wrap>
void expect_same(Wrap wrap) {
  Rng rng{5};
  const C cell(3, 4, rng);
  const auto alone = run(Recurrent(cell)), wrapped = run(Recurrent(wrap(cell)));
  REQUIRE(alone.size() == wrapped.size());
  for (std::size_t i = 0; i < alone.size(); ++i) CHECK(distance(alone[i], wrapped[i]) <= 1e-14);
}

/// Each unit adds one to itself, over a matrix.
template <Real T>
struct Counter {
  using State = Var<T>;
  Matrix<T> recurrent{init::identity<T>(64)};
  State initial(Tape<T>& tape, Index batch) const { return tape.zeros({batch, 64}); }
  Var<T> project(Var<T> xs) const { return xs; }
  State step(Var<T>, State h) const { return recurrent(h) + 1; }
  static void fields(auto& m, auto&& f) { f("recurrent", m.recurrent); }
};

Recurrent<LSTMCell<double>> lstm(Index in, Index width) {
  Rng rng{5};
  return {in, width, rng};
}

}  // namespace

TEST_CASE("wrappers: a learned initial state of two arrays") {
  expect(check_cell(
      [](Index in, Index width, Rng& rng) { return LearnedInitial(PeepholeLSTMCell<double>(in, width, rng)); }));
}
TEST_CASE("wrappers: those of cells, over one whose state keeps books") {
  certify_over_qrnn([](auto cell) { return Zoneout(std::move(cell), 0.3); });
  certify_over_qrnn([](auto cell) { return RecurrentDropout(std::move(cell), 0.3); });
  certify_over_qrnn([](auto cell) { return VariationalDropout(std::move(cell), 0.3); });
  certify_over_qrnn([](auto cell) { return DropConnect(std::move(cell), 0.3); });
}
TEST_CASE("wrappers: with a rate of zero they are the cell") {
  const auto over_cells = [](auto wrap) {
    expect_same<GRUCell<double>>(wrap);
    expect_same<LSTMCell<double>>(wrap);
    expect_same<QRNNCell<double>>(wrap);
  };
  over_cells([](auto cell) { return Zoneout(std::move(cell), 0.0); });
  over_cells([](auto cell) { return RecurrentDropout(std::move(cell), 0.0); });
  over_cells([](auto cell) { return VariationalDropout(std::move(cell), 0.0); });
  over_cells([](auto cell) { return DropConnect(std::move(cell), 0.0); });
}
// A rate of zero draws nothing, so that rows, streaming and chunks are compared too.
TEST_CASE_TEMPLATE("wrappers: streaming and chunks of those of cells", C, GRUCell<double>, LSTMCell<double>,
                   QRNNCell<double>) {
  expect(check_cell([](Index in, Index width, Rng& rng) {
    return RecurrentDropout(Zoneout(DropConnect(C(in, width, rng), 0.0), 0.0), 0.0);
  }));
}
TEST_CASE("wrappers: steps skipped by a mask, of a user's cell") {
  expect(check_cell([](Index in, Index width, Rng& rng) { return SkipSteps(MGUCell<double>(in - 1, width, rng)); },
                    {.in = 4}));
}
TEST_CASE("wrappers: wrappers of wrappers") {
  expect(check_cell([](Index in, Index width, Rng& rng) {
    return LearnedInitial(Zoneout(DropConnect(LSTMCell<double>(in, width, rng), 0.0), 0.0));
  }));
  expect(check_cell(
      [](Index in, Index width, Rng& rng) {
        return VariationalDropout(Zoneout(DropConnect(LSTMCell<double>(in, width, rng), 0.2), 0.2), 0.2);
      },
      {.random = true}));
}

TEST_CASE("wrappers: layers around layers") {
  Rng rng{3};
  using Layer = LSTM<double>;
  expect(check_layer("highway", Highway<Layer>(4, 4, rng), {.in = 4}));
  expect(check_layer("a stack with residual connections", Stacked<Residual<Layer>>(3, 4, 3, rng)));
  expect(check_layer("a stack with highways", Stacked<Highway<Layer>>(3, 4, 3, rng)));
}

TEST_CASE("wrappers: the reversed layer is the layer on the reversed sequence") {
  Rng rng{3};
  const Reversed<LSTM<double>> reversed(lstm(3, 4));
  const Tensor<double> xs = random_tensor({6, 3, 3}, rng);
  const std::vector<Index> lengths{4, 6, 0};
  for (const std::span<const Index> n : {std::span<const Index>(), std::span<const Index>(lengths)}) {
    Tape<double> tape;
    const auto x = tape.constant(xs);
    const auto got = reversed(x, n);
    const auto want = lstm(3, 4)(reverse_time(x, n), n);
    CHECK(distance(got.outputs.value(), reverse_time(want.outputs, n).value()) < 1e-15);
    CHECK(distance(got.last.c.value(), want.last.c.value()) < 1e-15);
  }
}

TEST_CASE("wrappers: zoneout keeps units at the rate, and moves by the expectation without training") {
  const Index width = 400;
  Rng rng{3};
  const Recurrent<Zoneout<LSTMCell<double>>> layer(Zoneout(LSTMCell<double>(2, width, rng), 0.25));
  const Tensor<double> xs = random_tensor({2, 20, 2}, rng);
  Tape<double> tape;
  const auto one = layer(tape.constant(xs));
  const double kept = xt::sum(xt::equal(one.steps[0].c.value(), 0.0))() / double(20 * width);
  CHECK(std::abs(kept - 0.25) < 0.02);
  Tape<double> still = Tape<double>::inference();
  const auto expected = layer(still.constant(xs));
  const auto plain = Recurrent<LSTMCell<double>>(layer.cell.cell)(still.constant(xs));
  CHECK(distance(expected.steps[0].c.value(), Tensor<double>(0.75 * plain.steps[0].c.value())) < 1e-14);
}

TEST_CASE("wrappers: masks differ from step to step, but for variational dropout and dropconnect") {
  // h' = h W + 1 with W = 1: a unit that is thinned at each step stays at 1, one that never is goes 1, 3, 7, 15.
  const auto last = [](const auto& wrapped) {
    Tape<double> tape(7);
    return Tensor<double>(Recurrent(wrapped)(tape.zeros({4, 2, 1})).outputs[3].value());
  };
  const auto fixed = [](const Tensor<double>& h) {
    return std::all_of(h.begin(), h.end(), [](double v) { return v == 1 || v == 15; });
  };
  const Tensor<double> each = last(RecurrentDropout(Counter<double>(), 0.5)),
                       same = last(VariationalDropout(Counter<double>(), 0.5)),
                       weights = last(DropConnect(Counter<double>(), 0.5));
  CHECK_FALSE(fixed(each));
  CHECK(fixed(same));
  CHECK(fixed(weights));
  const auto rows_alike = [](const Tensor<double>& h) { return std::equal(h.data(), h.data() + 64, h.data() + 64); };
  CHECK_FALSE(rows_alike(same));
  CHECK(rows_alike(weights));
}

TEST_CASE("wrappers: dropconnect thins the recurrent weights alone, and scales the rest") {
  Rng rng{3};
  const Recurrent<DropConnect<LSTMCell<double>>> layer(DropConnect(LSTMCell<double>(2, 8, rng), 0.5));
  Tape<double> tape;
  const auto one = layer(tape.constant(random_tensor({3, 1, 2}, rng)));
  tape.backward(sum(one.outputs));
  const auto& g = layer.cell.cell.recurrent.weight.grad();
  Index zeros = 0;
  for (const double v : g) zeros += v == 0;
  CHECK(zeros > 80);
  CHECK(zeros < 180);
  for (const double v : layer.cell.cell.input.weight.grad()) CHECK(v != 0);
}

TEST_CASE("wrappers: a skipped step leaves state and output") {
  Rng rng{3};
  const LSTMCell<double> cell(2, 4, rng);
  const Recurrent<SkipSteps<LSTMCell<double>>> layer{SkipSteps(cell)};
  Tape<double> tape;
  const auto xs = tape.constant(random_tensor({4, 1, 2}, rng));
  const auto got = layer(with_mask(xs, reshape(tape.constant(Tensor<double>{1., 0., 0., 1.}), {4, 1})));
  CHECK(xt::all(xt::equal(got.outputs[1].value(), got.outputs[0].value())));
  CHECK(xt::all(xt::equal(got.outputs[2].value(), got.outputs[0].value())));
  const std::array<Var<double>, 2> taken{xs[0], xs[3]};
  const auto want = Recurrent<LSTMCell<double>>(cell)(stack(std::span<const Var<double>>(taken)));
  CHECK(distance(got.last.c.value(), want.last.c.value()) < 1e-14);
}

TEST_CASE("wrappers: free running feeds outputs back, and equals teacher forcing on the same inputs") {
  Rng rng{3};
  const auto layer = lstm(4, 4);
  Tape<double> tape;
  const auto first = tape.variable(random_tensor({2, 4}, rng));
  const auto free = free_run(layer, first, layer.initial(tape, 2), 5, [](auto y, Index) { return tanh(2 * y); });
  std::vector<Var<double>> inputs{first};
  for (Index t = 0; t < 4; ++t) inputs.push_back(tanh(2 * free.outputs[t]));
  const auto forced = layer(stack(std::span<const Var<double>>(inputs)));
  CHECK(distance(free.outputs.value(), forced.outputs.value()) < 1e-14);
  CHECK(distance(free.last.c.value(), forced.last.c.value()) < 1e-14);
  CHECK_THROWS_WITH_AS(free_run(layer, first, layer.initial(tape, 2), 0, [](auto y, Index) { return y; }),
                       "free_run: 0 steps", ValueError);
}

TEST_CASE("wrappers: a state may be continued twice, and both gradients arrive") {
  Rng rng{3};
  auto layer = lstm(3, 4);
  auto all = parameters<double>(layer);
  Parameter<double> a(random_tensor({3, 2, 3}, rng)), b(random_tensor({2, 2, 3}, rng)),
      c(random_tensor({4, 2, 3}, rng));
  for (auto* p : {&a, &b, &c}) all.push_back(p);
  const auto loss = [&](Tape<double>& tape) {
    const auto trunk = layer(tape.use(a)).last;
    return Var<double>(sum(square(layer(tape.use(b), trunk).outputs)) + sum(layer(tape.use(c), trunk).last.c));
  };
  const auto report = check_gradients(loss, all);
  INFO(report.text());
  CHECK(report);
}

TEST_CASE("wrappers: rates outside of 0 .. 1 are refused") {
  Rng rng;
  const GRUCell<double> cell(1, 1, rng);
  CHECK_THROWS_WITH_AS(Zoneout(cell, 1.0), "zoneout: the rate 1 is not in 0 <= rate < 1", ValueError);
  CHECK_THROWS_AS(RecurrentDropout(cell, -0.1), ValueError);
  CHECK_THROWS_AS(VariationalDropout(cell, 2.0), ValueError);
  CHECK_THROWS_AS(DropConnect(cell, 1.5), ValueError);
}
