#include <layers/compare.h>
#include <layers/mgu_cell.h>
#include <unroll/layers/check_cell.h>

using namespace unroll;

// What Recurrent promises beyond correct gradients of every cell (cell_test.cpp).

namespace {

using Lengths = std::vector<Index>;

template <class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const Error& e) { return e.what(); }
  return "nothing was thrown";
}

/// A model whose layer is called "rnn".
template <class L>
struct Holder {
  L rnn;
  static void fields(auto& m, auto&& f) { f("rnn", m.rnn); }
};

/// A plain RNN written with + where the library has the in-place addmm.
struct PlainRNNCell {
  using State = Var<double>;
  const RNNCell<double>* like;
  State initial(Tape<double>& tape, Index batch) const { return like->initial(tape, batch); }
  Var<double> project(Var<double> xs) const { return like->project(xs); }
  State step(Var<double> x, State h) const { return tanh(x + matmul(h, like->recurrent.weight)); }
  static void fields(auto& m, auto&& f) { RNNCell<double>::fields(*m.like, f); }
};

/// A cell whose projection ends in `activation`, and whose step adds to it in place where it may.
template <class F>
struct ActivatedInput {
  using State = Var<double>;
  Linear<double> input;
  Matrix<double> recurrent;
  F activation;
  State initial(Tape<double>& tape, Index batch) const { return tape.zeros({batch, recurrent.weight.shape()[0]}); }
  Var<double> project(Var<double> xs) const { return activation(input(xs)); }
  State step(Var<double> x, State h) const { return tanh(addmm(x, h, recurrent.weight)); }
  static void fields(auto& m, auto&& f) { f("input", m.input), f("recurrent", m.recurrent); }
};

}  // namespace

TEST_CASE("recurrent: a projection may end in any op") {
  const auto check = [](const char* name, auto activation) {
    Rng rng{1};
    const GradientReport report =
        check_layer(name, Recurrent(ActivatedInput<decltype(activation)>{{3, 4, rng}, {4, 4, rng}, activation}));
    INFO(report.text());
    CHECK(report);
  };
  check("softmax", [](Var<double> x) { return softmax(x); });
  check("tanh", [](Var<double> x) { return Var<double>(tanh(x)); });
  check("exp", [](Var<double> x) { return Var<double>(exp(x)); });
  check("none", [](Var<double> x) { return x; });
}

TEST_CASE("recurrent: addmm in place gives what x + h W gives") {
  Rng rng{1};
  const RNN<double> rnn(3, 5, rng);
  const Recurrent<PlainRNNCell> plain(PlainRNNCell{&rnn.cell});
  const Tensor<double> x = random_tensor({7, 4, 3}, rng);
  const auto run = [&](const auto& layer, const Lengths& lengths) {
    Tape<double> tape;
    Gradients<double> found;
    const auto xs = tape.variable(x);
    const auto outputs = layer(xs, lengths).outputs;
    tape.backward(sum(outputs * outputs), found);
    return std::vector<Tensor<double>>{
        Tensor<double>(outputs.value()), Tensor<double>(xs.grad()), found.of(rnn.cell.recurrent.weight).values(),
        found.of(rnn.cell.input.weight).values(), found.of(rnn.cell.input.bias).values()};
  };
  for (const Lengths& lengths : {Lengths{}, Lengths{2, 7, 0, 5}}) {
    const auto a = run(rnn, lengths), b = run(plain, lengths);
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(distance(a[i], b[i]) <= 1e-12);
  }
}

TEST_CASE("recurrent: steps hold the state after each step, and may be read") {
  Rng rng{1};
  const LSTM<double> lstm(3, 4, rng);
  Tape<double> tape;
  const auto xs = tape.constant(random_tensor({5, 2, 3}, rng));
  const auto full = lstm(xs);
  REQUIRE(full.steps.size() == 5);
  for (Index t = 0; t < 5; ++t) {
    const auto& state = full.steps[static_cast<std::size_t>(t)];
    CHECK(distance(state.h.value(), full.outputs[t].value()) == 0);
    CHECK(state.c.shape() == Shape{2, 4});
  }
  CHECK(distance(full.steps.back().c.value(), full.last.c.value()) == 0);

  const auto ragged = lstm(xs, Lengths{2, 4});
  REQUIRE(ragged.steps.size() == 4);
  CHECK(ragged.steps[1].h.shape() == Shape{2, 4});
  CHECK(ragged.steps[3].h.shape() == Shape{1, 4});
}

TEST_CASE("recurrent: last is the state after each row's own last step, and its given state without one") {
  Rng rng{1};
  const LSTM<double> lstm(3, 4, rng);
  Tape<double> tape;
  const auto xs = tape.constant(random_tensor({5, 4, 3}, rng));
  const HiddenAndCell<double> start{tape.constant(random_tensor({4, 4}, rng)),
                                    tape.constant(random_tensor({4, 4}, rng))};
  const Lengths lengths{3, 0, 5, 1};
  const auto ragged = lstm(xs, start, lengths);
  const auto full = lstm(xs, start);
  for (Index b = 0; b < 4; ++b) {
    const Index n = lengths[static_cast<std::size_t>(b)];
    const auto& want = n == 0 ? start : full.steps[static_cast<std::size_t>(n - 1)];
    CHECK(distance(ragged.last.h[b].value(), want.h[b].value()) <= 1e-12);
    CHECK(distance(ragged.last.c[b].value(), want.c[b].value()) <= 1e-12);
  }
}

TEST_CASE("recurrent: a state may be used by two branches") {
  Rng rng{1};
  const GRU<double> gru(3, 4, rng);
  const Tensor<double> x = random_tensor({4, 2, 3}, rng), h0 = random_tensor({2, 4}, rng);
  const auto gradient = [&](bool first, bool second) {
    Tape<double> tape;
    const auto xs = tape.constant(x);
    const auto start = tape.variable(h0);
    const auto middle = gru(slice(xs, 0, 0, 2), start).last;
    Var<double> loss = tape.zeros({});
    if (first) loss = loss + sum(gru(slice(xs, 0, 2, 4), middle).outputs);
    if (second) loss = loss + sum(square(gru(reverse(slice(xs, 0, 2, 4)), middle).outputs));
    tape.backward(loss);
    return Tensor<double>(start.grad());
  };
  CHECK(distance(gradient(true, true), Tensor<double>(gradient(true, false) + gradient(false, true))) <= 1e-12);
}

TEST_CASE("recurrent: truncated chunks give the values of the long run and the gradient of their own steps only") {
  Rng rng{1};
  const LSTM<double> lstm(3, 4, rng);
  const Tensor<double> x = random_tensor({6, 2, 3}, rng);
  Tape<double> whole, tape;
  const auto all = lstm(whole.constant(x));
  auto state = lstm.initial(tape, 2);
  for (Index first = 0; first < 6; first += 2) {
    const auto [outputs, last] = lstm(slice(tape.constant(x), 0, first, first + 2), state);
    for (Index t = 0; t < 2; ++t) CHECK(distance(outputs[t].value(), all.outputs[first + t].value()) <= 1e-12);
    const auto before = state;
    tape.backward(sum(outputs));
    CHECK_THROWS_AS(before.h.grad(), TapeError);
    state = tape.restart(last);
  }
}

TEST_CASE("recurrent: no steps and no rows") {
  Rng rng{1};
  const Stacked<Bidirectional<LSTM<double>>> layer(3, 4, 2, rng);
  Tape<double> tape;
  const auto no_steps = layer(tape.zeros({0, 2, 3}));
  CHECK(no_steps.outputs.shape() == Shape{0, 2, 8});
  CHECK(no_steps.last[1].backward.c.shape() == Shape{2, 4});
  CHECK(layer(tape.zeros({0, 2, 3}), Lengths{0, 0}).outputs.shape() == Shape{0, 2, 8});
  const auto no_rows = layer(tape.zeros({5, 0, 3}));
  CHECK(no_rows.outputs.shape() == Shape{5, 0, 8});
  CHECK(no_rows.last[0].forward.h.shape() == Shape{0, 4});
  const auto all_empty = layer(tape.zeros({5, 2, 3}), Lengths{0, 0});
  CHECK(all_empty.outputs.shape() == Shape{5, 2, 8});
  CHECK(sum(all_empty.outputs).item() == 0);
}

TEST_CASE("recurrent: errors name the op, the shapes and the place") {
  Rng rng{1};
  Holder<RNN<double>> model{{3, 4, rng}};
  const auto all = parameters<double>(model);
  Tape<double> tape;
  const auto xs = tape.zeros({5, 2, 3});

  CHECK(message_of([&] {
          model.rnn(tape.zeros({5, 2, 7}));
        }) == "affine: shapes do not fit: [5, 2, 7] x [3, 4] + [4] (in rnn/cell/input)");
  CHECK(message_of([&] {
          model.rnn(tape.zeros({2, 3}));
        }) == "recurrent: a sequence [time, batch, features] is needed, not [2, 3] (in rnn/cell)");
  CHECK(message_of([&] {
          model.rnn(xs, Lengths{2, 6});
        }) == "recurrent: length 6 of row 1 in the sequence [5, 2, 3] (in rnn/cell)");
  CHECK(message_of([&] {
          model.rnn(xs, Lengths{2, -1});
        }) == "recurrent: length -1 of row 1 in the sequence [5, 2, 3] (in rnn/cell)");
  CHECK(message_of([&] {
          model.rnn(xs, Lengths{2, 5, 5});
        }) == "recurrent: 3 lengths for the sequence [5, 2, 3] (in rnn/cell)");
  CHECK(message_of([&] {
          model.rnn(xs, tape.zeros({3, 4}));
        }) == "recurrent: the initial state [3, 4] does not fit the sequence [5, 2, 3] (in rnn/cell)");
  CHECK(message_of([&] {
          model.rnn(xs, tape.zeros({2, 9}));
        }) == "addmm: shapes do not fit: [2, 4] + [2, 9] x [4, 4] (in rnn/cell, step 0)");

  const auto state = tape.zeros({2, 4});
  tape.rewind();
  CHECK(message_of([&] {
          model.rnn(tape.zeros({5, 2, 3}), state);
        }) == "recurrent: this value is gone, its tape was rewound (in rnn/cell)");
  // After an exception the tape can be used.
  CHECK(model.rnn(tape.zeros({5, 2, 3})).outputs.shape() == Shape{5, 2, 4});
}

TEST_CASE("recurrent: an error inside a user's step names the step") {
  struct Broken : MGUCell<double> {
    using MGUCell<double>::MGUCell;
    State step(Var<double> x, State h, Index t) const { return t < 3 ? MGUCell::step(x, h) : h + x; }
  };
  Rng rng{1};
  Holder<Recurrent<Broken>> model{{3, 4, rng}};
  const auto all = parameters<double>(model);
  Tape<double> tape;
  CHECK(message_of([&] {
          model.rnn(tape.zeros({5, 2, 3}));
        }) == "add: extents differ: [2, 4] and [2, 8] (in rnn/cell, step 3)");
}

TEST_CASE("recurrent: the recurrent products take no memory of their own, at any step") {
  Rng rng{1};
  const Index time = 16, batch = 8, width = 32;
  const LSTM<double> lstm(width, width, rng);
  const Tensor<double> x = random_tensor({time, batch, width}, rng);
  const std::vector<Index> ragged(batch, time - 1);
  for (const bool some_shorter : {false, true}) {
    Tape<double> tape;
    const auto xs = tape.constant(x);
    const std::size_t before = tape.value_bytes();
    some_shorter ? lstm(xs, ragged) : lstm(xs);
    // Per step and row four gates, h, c and the stacked outputs; of a ragged batch also the packed inputs, and the
    // outputs once more in the user's order. Room for h and c of four states besides.
    const Index steps = some_shorter ? time - 1 : time;
    const Index values = batch * width * (some_shorter ? 8 * steps + time + 8 : 7 * steps + 8);
    CHECK(tape.value_bytes() - before <= static_cast<std::size_t>(values) * sizeof(double));
  }
}
