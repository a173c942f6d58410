#include <layers/attention/attentions.h>
#include <unroll/layers/attention_decoder.h>
#include <unroll/layers/bridge.h>
#include <unroll/layers/rnn.h>

using namespace unroll;

namespace {

const std::vector<Index> source_lengths{3, 4, 1}, target_lengths{2, 5, 4};

template <class A>
using LSTMDecoder = AttentionDecoder<LSTMCell<double>, A>;

/// f(name, decoder) for an LSTM of 3 units with each attention and readout, and one GRU: inputs of 2, a source of 4.
template <class F>
void for_each_decoder(F f) {
  for_each_attention([&](const std::string& name, auto attention) {
    Rng rng{8};
    const auto kind = name == "general"    ? ReadoutKind::maxout
                      : name == "location" ? ReadoutKind::none
                                           : ReadoutKind::tanh;
    f(name, AttentionDecoder(2, LSTMCell<double>(2, 3, rng), attention, rng, kind));
    if (name == "additive") f("gru", AttentionDecoder(2, GRUResetBeforeCell<double>(2, 3, rng), attention, rng));
  });
}

struct Inputs {
  Rng rng{1};
  Parameter<double> source{with_padding(random_tensor({4, 3, 4}, rng), source_lengths, 9)},
      xs{with_padding(random_tensor({5, 3, 2}, rng), target_lengths, 9)}, h{random_tensor({3, 3}, rng)},
      c{random_tensor({3, 3}, rng)};

  template <class D>
  auto start(Tape<double>& tape, const D& decoder, const AttentionMemory<double>& memory) const {
    int k = 0;
    return decoder.initial(
        memory, map_vars(decoder.cell.initial(tape, 3), [&](Var<double>) { return tape.use(k++ == 0 ? h : c); }));
  }
};

/// A scalar that sees outputs, weights, and each array of the last state.
template <class D>
Var<double> loss_of(const Decoded<double, D>& decoded) {
  Var<double> total = sum(square(decoded.outputs - 0.2)) + sum(square(decoded.weights)) * 0.7;
  double factor = 1;
  for_each_var(decoded.last, [&](const Var<double>& v) { total = total + sum(square(v - 0.1)) * (factor *= 0.8); });
  return total;
}

}  // namespace

TEST_CASE("decoder: gradients agree with differences, source and target ragged") {
  for_each_decoder([](const std::string& name, auto decoder) {
    CAPTURE(name);
    Inputs in;
    for (const bool ragged : {false, true}) {
      auto listed = parameters<double>(decoder);
      listed.insert(listed.end(), {&in.source, &in.xs, &in.h});
      if (name != "gru") listed.push_back(&in.c);
      const auto report = check_gradients(
          [&](Tape<double>& tape) {
            const auto memory = decoder.remember(tape.use(in.source), source_lengths);
            const auto start = in.start(tape, decoder, memory);
            return loss_of(decoder(tape.use(in.xs), start, memory,
                                   ragged ? std::span<const Index>(target_lengths) : std::span<const Index>()));
          },
          listed, {.may_be_unused = name == "multi-head"});
      INFO(report.text());
      CHECK(report);
    }
  });
}

TEST_CASE("decoder: padding of source and target is not read") {
  for_each_decoder([](const std::string& name, auto decoder) {
    CAPTURE(name);
    std::vector<Tensor<double>> found[2];
    for (const int i : {0, 1}) {
      Inputs in;
      Tape<double> tape;
      Gradients<double> gradients;
      const double padding = i == 0 ? NAN : 3;
      const auto source = tape.variable(with_padding(in.source.value(), source_lengths, padding)),
                 xs = tape.variable(with_padding(in.xs.value(), target_lengths, padding));
      const auto memory = decoder.remember(source, source_lengths);
      const auto decoded = decoder(xs, in.start(tape, decoder, memory), memory, target_lengths);
      tape.backward(loss_of(decoded), gradients);
      found[i] = {decoded.outputs.value(), decoded.weights.value(), source.grad(), xs.grad()};
      for (const auto* p : parameters<double>(decoder)) found[i].push_back(gradients.of(*p).values());
      CHECK(found[i][0] == with_padding(found[i][0], target_lengths, 0));
      CHECK(found[i][2] == with_padding(found[i][2], source_lengths, 0));
      CHECK(found[i][3] == with_padding(found[i][3], target_lengths, 0));
    }
    for (std::size_t k = 0; k < found[0].size(); ++k) CHECK(distance(found[0][k], found[1][k]) == 0);
  });
}

TEST_CASE("decoder: a batch is its rows one by one, and its steps one by one") {
  for_each_decoder([](const std::string& name, auto decoder) {
    CAPTURE(name);
    const Inputs in;
    Tape<double> tape;
    const auto source = tape.use(in.source), xs = tape.use(in.xs);
    const auto memory = decoder.remember(source, source_lengths);
    const auto start = in.start(tape, decoder, memory);
    const auto all = decoder(xs, start, memory, target_lengths);
    CHECK(all.weights.shape() == decoder.attention.weights_shape(memory).inserted(0, 5));
    CHECK(all.outputs.shape() == Shape{5, 3, decoder.width()});
    for (Index b = 0; b < 3; ++b) {
      const auto i = static_cast<std::size_t>(b);
      const auto row = [&](Var<double> v) { return slice(v, 0, b, b + 1); };
      const auto alone = decoder.remember(slice(slice(source, 1, b, b + 1), 0, 0, source_lengths[i]));
      auto state = decoder.initial(alone, map_vars(start.cell, row));
      for (Index t = 0; t < target_lengths[i]; ++t) {
        const auto step = decoder.step(row(xs[t]), state, alone, t);
        state = step.state;
        CHECK(distance(step.output[0].value(), all.outputs[t][b].value()) <= 1e-14);
        CHECK(distance(contiguous(step.weights[0]).value(),
                       contiguous(slice(all.weights[t][b], -1, 0, source_lengths[i])).value()) <= 1e-14);
      }
      CHECK(distance(state.output.value(), row(all.last.output).value()) <= 1e-14);
      int k = 0;
      for_each_var(all.last.cell, [&](const Var<double>& v) {
        CHECK(distance(nth_var<double>(state.cell, k++).value(), row(v).value()) <= 1e-14);
      });
    }
  });
}

TEST_CASE("decoder: what it computes is the cell on the input beside the context, and the readout of both") {
  Rng rng{3};
  const AttentionDecoder decoder(2, RNNCell<double>(2, 3, rng), AdditiveAttention<double>(3, 4, 5, rng), rng);
  const Inputs in;
  Tape<double> tape;
  const auto memory = decoder.remember(tape.use(in.source), source_lengths);
  Var<double> h = tape.use(in.h), context = tape.zeros({3, 4});
  const auto decoded = decoder(tape.use(in.xs), decoder.initial(memory, h), memory);
  for (Index t = 0; t < 5; ++t) {
    const Var<double> x = decoder.cell.input(tape.use(in.xs)[t]) + matmul(context, decoder.feed.weight);
    h = decoder.cell.step(x, h);
    const auto attended = decoder.attention(memory, h);
    context = attended.context;
    const Var<double> y = tanh((*decoder.readout.linear)(concat(h, context)));
    CHECK(distance(decoded.outputs[t].value(), y.value()) <= 1e-14);
    CHECK(distance(decoded.weights[t].value(), attended.weights.value()) <= 1e-14);
  }
}

TEST_CASE("decoder: hypotheses are reordered by gathering the rows of every array of the state") {
  for_each_decoder([](const std::string& name, auto decoder) {
    CAPTURE(name);
    const Inputs in;
    Tape<double> tape = Tape<double>::inference();
    const auto xs = tape.use(in.xs);
    const auto memory = decoder.remember(tape.use(in.source), source_lengths);
    const auto one = decoder.step(xs[0], in.start(tape, decoder, memory), memory);
    const auto two = decoder.step(xs[1], one.state, memory, 1);
    const std::vector<Index> rows{2, 2, 0, 1};
    const auto beams = map_vars(one.state, [&](Var<double> v) { return select_rows(v, rows); });
    const auto next = decoder.step(select_rows(xs[1], rows), beams, memory.select(rows), 1);
    CHECK(distance(next.output.value(), select_rows(two.output, rows).value()) <= 1e-14);
    CHECK(distance(next.weights.value(), select_rows(two.weights, rows).value()) <= 1e-14);
  });
}

TEST_CASE("decoder: rows and sequences of no step keep the state they began with") {
  for_each_decoder([](const std::string&, auto decoder) {
    const Inputs in;
    Tape<double> tape;
    const auto memory = decoder.remember(tape.use(in.source), source_lengths);
    const auto start = in.start(tape, decoder, memory);
    const std::vector<Index> none(3, 0), some{0, 2, 0};
    const auto empty = decoder(tape.use(in.xs), start, memory, none);
    CHECK(xt::amax(xt::abs(empty.outputs.value()))() == 0);
    CHECK(xt::amax(xt::abs(empty.weights.value()))() == 0);
    CHECK(empty.last.output.value() == start.output.value());
    CHECK(decoder(tape.use(in.xs), start, memory, some).last.output[2].value() == start.output[2].value());
    CHECK(decoder(tape.zeros({0, 3, 2}), start, memory).outputs.shape() == Shape{0, 3, decoder.width()});
  });
}

TEST_CASE("decoder: what does not fit is refused in a sentence") {
  Rng rng{4};
  AttentionDecoder decoder(2, LSTMCell<double>(2, 3, rng), AdditiveAttention<double>(3, 4, 5, rng), rng);
  const auto named = parameters<double>(decoder);
  Tape<double> tape;
  const auto memory = decoder.remember(tape.zeros({5, 2, 4})), other = decoder.remember(tape.zeros({5, 3, 4})),
             longer = decoder.remember(tape.zeros({6, 2, 4}));
  const auto start = decoder.initial(memory);
  CHECK_THROWS_WITH_AS(decoder(tape.zeros({4, 2, 2}), start, other),
                       doctest::Contains("decoder: inputs [4, 2, 2] for a memory of 3 rows"), ShapeError);
  CHECK_THROWS_WITH_AS(
      decoder(tape.zeros({4, 2, 2}), start, longer),
      doctest::Contains("decoder: the state of another source: weights [2, 5] for a memory of weights [2, 6]"),
      ShapeError);
  CHECK_THROWS_WITH_AS(decoder(tape.zeros({2, 2}), start, memory),
                       doctest::Contains("decoder: a sequence [time, batch, features] is needed, not [2, 2]"),
                       ShapeError);
  CHECK_THROWS_WITH_AS(decoder.step(tape.zeros({1, 2, 2}), start, memory),
                       doctest::Contains("decoder: a step [batch, features] is needed, not [1, 2, 2]"), ShapeError);
  CHECK_THROWS_WITH_AS(decoder.initial(memory, decoder.cell.initial(tape, 3)),
                       doctest::Contains("decoder: a state [3, 3] for a memory of 2 rows"), ShapeError);
  const std::vector<Index> one{1}, beyond{1, 9};
  CHECK_THROWS_WITH_AS(decoder(tape.zeros({4, 2, 2}), start, memory, one),
                       doctest::Contains("decoder: 1 lengths for the sequence [4, 2, 2]"), ShapeError);
  CHECK_THROWS_WITH_AS(decoder(tape.zeros({4, 2, 2}), start, memory, beyond),
                       doctest::Contains("decoder: length 9 of row 1 in the sequence [4, 2, 2]"), ShapeError);
  CHECK_THROWS_AS(decoder(tape.zeros({4, 2, 3}), start, memory), ShapeError);
}
