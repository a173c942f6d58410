#include <doctest/doctest.h>

#include <cmath>

#include <layers/decoding/history_model.h>
#include <unroll/layers/decoding/beam_search.h>
#include <unroll/layers/decoding/generate.h>
#include <unroll/layers/embedding.h>
#include <unroll/layers/linear.h>
#include <unroll/layers/rnn.h>

using namespace unroll;

namespace {

/// A language model over any sequence layer.
template <class L>
struct Writer {
  Embedding<double> embed;
  L rnn;
  Linear<double> head;

  auto step(Tape<double>& tape, std::span<const std::int32_t> tokens, const typename L::State& state) const {
    const auto next = rnn.step(embed(tape, tokens, Shape{static_cast<Index>(tokens.size())}), state);
    return std::pair(head(top_of<double>(next)) * 6, next);
  }
};

/// Log probability of a sequence that is fed one symbol at a time.
template <class L>
double fed(const Writer<L>& model, std::int32_t token, const Hypothesis& h, std::int32_t end) {
  Tape<double> tape = Tape<double>::inference();
  auto state = model.rnn.initial(tape, 1);
  double result = 0;
  std::vector<std::int32_t> tokens = h.tokens;
  if (h.ended) tokens.push_back(end);
  for (const std::int32_t next : tokens) {
    const auto [logits, after] = model.step(tape, std::span(&token, 1), state);
    result -= cross_entropy(logits, std::span(&next, 1)).item();
    state = after;
    token = next;
  }
  return result;
}

template <class L>
void check_states(const L& layer, Index width) {
  Rng rng{8};
  Writer<L> model{{20, 6, rng}, layer, {width, 20, rng}};
  model.head.bias.edit()(5) += 0.35;  // so that some hypotheses end
  Tape<double> tape = Tape<double>::inference();
  const std::vector<std::int32_t> tokens{3, 0, 11};
  const auto step = [&](Tape<double>& on, std::span<const std::int32_t> last, const typename L::State& state) {
    const auto [logits, next] = model.step(on, last, state);
    return std::pair(Var<double>(logits), next);
  };
  const BeamOptions options{.width = 7, .steps = 8, .end = 5, .length_penalty = 0.5, .best = 7};
  const auto found = beam_search(tape, model.rnn.initial(tape, 3), tokens, step, options);
  std::size_t ended = 0, longer = 0;
  for (std::size_t b = 0; b < 3; ++b)
    for (const Hypothesis& h : found[b]) {
      ended += h.ended;
      longer += h.tokens.size() > 4;
      CHECK(h.log_probability == doctest::Approx(fed(model, tokens[b], h, 5)).epsilon(1e-12));
    }
  CHECK(ended > 0);
  CHECK(longer > 0);
}

}  // namespace

TEST_CASE("decoding: states of recurrent layers go with their beams") {
  Rng rng{21};
  check_states(LSTM<double>(6, 9, rng), 9);
  check_states(GRU<double>(6, 9, rng), 9);
  check_states(Stacked<GRU<double>>(6, 9, 3, rng), 9);
  check_states(Stacked<LSTM<double>>(6, 9, 2, rng), 9);
}

namespace {

const std::vector<double> starts{0.11, 0.42, 0.73, 0.95};
const std::vector<std::int32_t> firsts{0, 2, 1, 0};

}  // namespace

TEST_CASE("decoding: the memory that steps share is lent, and the caller's tape is as it was") {
  Tape<double> tape = Tape<double>::inference();
  const std::vector<double> shifts{0.1, 0.2, 0.3, 0.4};
  const Var<double> memory = repeat_rows(tape.constant({4, 1}, shifts), 3);
  const Var<double> state = tape.constant({4, 1}, starts);
  const HistoryModel model{.vocabulary = 9, .allowed = 9};
  std::size_t bytes = 0, nodes = 0;
  const auto step = [&](Tape<double>& on, std::span<const std::int32_t> last, const Var<double>& s,
                        const Var<double>& shared) {
    CHECK(values(shared).data == values(memory).data);
    nodes = std::max(nodes, on.size());
    bytes = std::max(bytes, on.bytes());
    return model(on, last, Var<double>(s + shared));
  };
  const std::size_t before = tape.size();
  const auto found = beam_search(tape, state, firsts, step, {.width = 3, .steps = 60, .best = 2}, memory);
  CHECK(tape.size() == before);
  CHECK(nodes < 10);
  CHECK(bytes < 4000);
  for (std::size_t b = 0; b < 4; ++b) {  // each source saw its own
    double s = starts[b], p = 0;
    std::int32_t token = firsts[b];
    for (const std::int32_t next : found[b][1].tokens) {
      s = HistoryModel::mix(s + shifts[b], token);
      p += model.log_softmax(s)[static_cast<std::size_t>(next)];
      token = next;
    }
    CHECK(found[b][1].log_probability == doctest::Approx(p).epsilon(1e-12));
  }
}

TEST_CASE("decoding: a state or a memory on another tape is an error") {
  Tape<double> tape = Tape<double>::inference(), other = Tape<double>::inference();
  const HistoryModel model;
  const auto state = other.constant({4, 1}, starts);
  CHECK_THROWS_WITH_AS(greedy(tape, state, firsts, model, {.steps = 2}), "greedy: this value is on another tape",
                       TapeError);
  const auto step = [&](Tape<double>& on, std::span<const std::int32_t> last, const Var<double>& s,
                        const Var<double>&) { return model(on, last, s); };
  CHECK_THROWS_AS(beam_search(other, state, firsts, step, {.width = 2, .steps = 2}, tape.zeros({4, 1})), TapeError);
}

TEST_CASE("decoding: a training tape decodes as an inference tape does, and can go on") {
  Tape<double> training{3}, inference = Tape<double>::inference();
  const HistoryModel model;
  const auto run = [&](Tape<double>& tape) {
    return beam_search(tape, tape.variable({4, 1}, starts), firsts, model, {.width = 3, .steps = 6});
  };
  const auto a = run(training), b = run(inference);
  for (std::size_t i = 0; i < 4; ++i) CHECK(a[i][0].tokens == b[i][0].tokens);
  Rng rng{1};
  const Linear<double> layer(2, 1, rng);
  training.backward(Var<double>(sum(layer(training.constant({1, 2}, std::span(starts).first(2))))));
  CHECK(layer.weight.grad()(0) == starts[0]);
}

TEST_CASE("repeat rows: along the first axis and along that of a sequence's batch") {
  Tape<double> tape = Tape<double>::inference();
  const std::vector<double> numbers{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  const HiddenAndCell<double> state{tape.constant({2, 2}, std::span(numbers).first(4)),
                                    tape.constant({2}, std::span(numbers).first(2))};
  const auto twice = repeat_rows(state, 2);
  CHECK(twice.h.value() == Tensor<double>{{0, 1}, {0, 1}, {2, 3}, {2, 3}});
  CHECK(twice.c.value() == Tensor<double>{0, 0, 1, 1});
  const Var<double> sequence = repeat_rows(tape.constant({3, 2, 2}, numbers), 2, 1);
  CHECK(sequence.value() == Tensor<double>{{{0, 1}, {0, 1}, {2, 3}, {2, 3}},
                                           {{4, 5}, {4, 5}, {6, 7}, {6, 7}},
                                           {{8, 9}, {8, 9}, {10, 11}, {10, 11}}});
  CHECK_THROWS_WITH_AS(repeat_rows(sequence, 0), "repeat_rows: 0 times", ValueError);
  CHECK_THROWS_AS(repeat_rows(sequence, 2, 3), ShapeError);
}
