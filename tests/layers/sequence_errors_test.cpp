#include <doctest/doctest.h>

#include <unroll/layers/layers.h>

using namespace unroll;

// What is wrong with a sequence is said in one sentence, with the layer and the step.

namespace {

struct Encoder {
  Stacked<LSTM<double>> encoder;
  static void fields(auto& m, auto&& f) { f("encoder", m.encoder); }
};

/// Projects three gates and steps with one.
struct Disagreeing {
  using State = Var<double>;
  Linear<double> input;
  Matrix<double> recurrent;
  Disagreeing(Index in, Index width, Rng& rng) : input(in, 3 * width, rng), recurrent(width, width, rng) {}
  State initial(Tape<double>& tape, Index batch) const { return tape.zeros({batch, recurrent.weight.shape()[0]}); }
  Var<double> project(Var<double> xs) const { return input(xs); }
  State step(Var<double> x, State h) const { return tanh(x + recurrent(h)); }
  static void fields(auto& m, auto&& f) { f("input", m.input), f("recurrent", m.recurrent); }
};
/// Makes a narrower state than it takes.
struct Shrinking : Disagreeing {
  using Disagreeing::Disagreeing;
  State step(Var<double> x, State) const { return slice(x, 1, 0, 2); }
};
template <class C>
struct Decoder {
  Recurrent<C> rnn;
  static void fields(auto& m, auto&& f) { f("decoder", m.rnn); }
};

template <class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const Error& error) { return error.what(); }
  return "";
}

}  // namespace

TEST_CASE("sequence errors: widths, lengths and states that do not fit") {
  Rng rng{1};
  Encoder model{{3, 4, 2, rng}};
  (void)parameters<double>(model);
  const auto& encoder = model.encoder;
  Tape<double> tape;
  const Var<double> xs = tape.zeros({5, 2, 3});
  using Lengths = std::vector<Index>;

  CHECK(message_of([&] {
          encoder(tape.zeros({5, 2, 7}));
        }) == "affine: shapes do not fit: [5, 2, 7] x [3, 16] + [16] (in encoder/layers/0/cell/input)");
  CHECK(message_of([&] {
          encoder(tape.zeros({5, 3}));
        }) == "recurrent: a sequence [time, batch, features] is needed, not [5, 3] (in encoder/layers/0/cell)");
  CHECK(message_of([&] {
          encoder(xs, Lengths{5, 6});
        }) == "recurrent: length 6 of row 1 in the sequence [5, 2, 3] (in encoder/layers/0/cell)");
  CHECK(message_of([&] {
          encoder(xs, Lengths{-1, 5});
        }) == "recurrent: length -1 of row 0 in the sequence [5, 2, 3] (in encoder/layers/0/cell)");
  CHECK(message_of([&] {
          encoder(xs, Lengths{5, 5, 5});
        }) == "recurrent: 3 lengths for the sequence [5, 2, 3] (in encoder/layers/0/cell)");
  CHECK(message_of([&] { encoder(xs, encoder.initial(tape, 3)); }) ==
        "recurrent: the initial state [3, 4] does not fit the sequence [5, 2, 3] (in encoder/layers/0/cell)");
  CHECK(message_of([&] {
          encoder.step(tape.zeros({2, 3}), encoder.initial(tape, 3));
        }) == "addmm: shapes do not fit: [2, 16] + [3, 4] x [4, 16] (in encoder/layers/0/cell/recurrent)");
  const auto state = encoder.initial(tape, 2);
  tape.rewind();
  CHECK(message_of([&] {
          encoder(tape.zeros({5, 2, 3}), state);
        }) == "recurrent: this value is gone, its tape was rewound (in encoder/layers/0/cell)");
}

TEST_CASE("sequence errors: project and step that disagree") {
  Rng rng{2};
  Tape<double> tape;
  const Var<double> xs = tape.zeros({5, 2, 3});
  const std::vector<Index> lengths{2, 5};
  Decoder<Disagreeing> disagreeing{{3, 4, rng}};
  (void)parameters<double>(disagreeing);
  CHECK(message_of([&] { disagreeing.rnn(xs); }) ==
        "add: extents differ: [2, 12] and [2, 4] (in decoder/cell, step 0)");
  Decoder<Shrinking> shrinking{{3, 4, rng}};
  (void)parameters<double>(shrinking);
  const std::string want = "recurrent: step makes a state of [2, 2] of one of [2, 4] (in decoder/cell, step 0)";
  CHECK(message_of([&] { shrinking.rnn(xs); }) == want);
  CHECK(message_of([&] { shrinking.rnn(xs, lengths); }) == want);
}

TEST_CASE("sequence errors: of checkpointed layers, and in segments") {
  Rng rng{3};
  Decoder<LSTMCell<double>> model{{3, 4, rng}};
  (void)parameters<double>(model);
  const Checkpointed layer(model.rnn.cell, 2);
  Tape<double> tape;
  const Var<double> xs = tape.zeros({5, 2, 3});
  CHECK(message_of([&] {
          layer(xs, std::vector<Index>{5, 6});
        }) == "checkpointed: length 6 of row 1 in the sequence [5, 2, 3] (in decoder/cell)");
  CHECK(message_of([&] { layer(xs, layer.initial(tape, 3)); }).ends_with("(in decoder/cell)"));
}

TEST_CASE("sequence errors: rows without a step keep their state, and cannot be pooled") {
  Rng rng{4};
  const GRU<double> layer(3, 4, rng);
  Tape<double> tape;
  const Var<double> start = tape.filled({2, 4}, 0.25);
  const std::vector<Index> lengths{0, 5};
  const auto unrolled = layer(tape.zeros({5, 2, 3}), start, lengths);
  CHECK(unrolled.last.value()(0, 3) == 0.25);
  CHECK(unrolled.outputs.value()(0, 0, 3) == 0);
  CHECK(message_of([&] { mean_over_time(unrolled, lengths); }) ==
        "mean_over_time: length 0 of row 0 in the sequence [5, 2, 4]");
}
