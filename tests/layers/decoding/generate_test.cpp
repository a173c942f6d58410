#include <doctest/doctest.h>

#include <cmath>

#include <layers/decoding/history_model.h>
#include <unroll/layers/decoding/beam_search.h>
#include <unroll/layers/decoding/generate.h>

using namespace unroll;

namespace {

const std::vector<double> starts{0.15, 0.5, 0.85};
const std::vector<std::int32_t> firsts{1, 0, 3};

/// Log probability of a hypothesis, walked through by the model's own formula.
double walked(const HistoryModel& model, double state, std::int32_t token, const Hypothesis& h, std::int32_t end) {
  double result = 0;
  std::vector<std::int32_t> tokens = h.tokens;
  if (h.ended) tokens.push_back(end);
  for (const std::int32_t next : tokens) {
    state = HistoryModel::mix(state, token);
    result += model.log_softmax(state)[static_cast<std::size_t>(next)];
    token = next;
  }
  return result;
}

/// A step whose logits are those given, for every row; row `bad` of step 2 has `value` as its logit 1.
struct Planted {
  Index rows, bad = -1;
  double value = 0;
  Index step = 0;
  auto operator()(Tape<double>& tape, std::span<const std::int32_t> tokens, const Var<double>& state) {
    std::vector<double> logits(tokens.size() * 4, 0.0);
    if (step++ == 2 && bad >= 0) {
      logits[static_cast<std::size_t>(bad * 4 + 1)] = value;
      if (value == -std::numeric_limits<double>::infinity()) std::fill_n(logits.begin() + bad * 4, 4, value);
    }
    return std::pair(tape.constant({static_cast<Index>(tokens.size()), 4}, logits), state);
  }
};

constexpr double infinity = std::numeric_limits<double>::infinity();
const double nan_value = std::numeric_limits<double>::quiet_NaN();

}  // namespace

TEST_CASE("greedy: each symbol is the likeliest after those before, until a row's end") {
  const HistoryModel model{.vocabulary = 6, .allowed = 5};
  Tape<double> tape = Tape<double>::inference();
  const auto rows = greedy(tape, tape.constant({3, 1}, starts), firsts, model, {.steps = 30, .end = 2});
  std::size_t ended = 0;
  for (std::size_t b = 0; b < 3; ++b) {
    double state = starts[b];
    std::int32_t token = firsts[b];
    for (std::size_t t = 0; t < rows[b].tokens.size() + (rows[b].ended ? 1 : 0); ++t) {
      state = HistoryModel::mix(state, token);
      const auto logits = model.logits(state);
      token = static_cast<std::int32_t>(std::ranges::max_element(logits) - logits.begin());
      CHECK(token == (t < rows[b].tokens.size() ? rows[b].tokens[t] : 2));
    }
    ended += rows[b].ended;
    CHECK(rows[b].log_probability == doctest::Approx(walked(model, starts[b], firsts[b], rows[b], 2)).epsilon(1e-12));
  }
  CHECK(ended == 3);
  CHECK(rows[0].tokens.size() != rows[1].tokens.size());
}

TEST_CASE("sample: frequencies of whole sequences are the model's probabilities") {
  // 4000 rows of one beginning; sequences of two symbols, or one and the end.
  const HistoryModel model{.vocabulary = 4, .allowed = 3, .sharpness = 1};
  const Index rows = 4000;
  Tape<double> tape = Tape<double>::inference();
  Rng rng{12};
  const std::vector<std::int32_t> tokens(static_cast<std::size_t>(rows), 1);
  const auto found = sample(tape, tape.filled({rows, 1}, 0.3), tokens, model, {.steps = 2, .end = 0}, {}, rng);
  CHECK(rng.position() == 2 * static_cast<std::uint64_t>(rows));
  std::vector<std::pair<Hypothesis, double>> kinds;
  for (const Hypothesis& h : found) {
    CHECK(h.log_probability == doctest::Approx(walked(model, 0.3, 1, h, 0)).epsilon(1e-12));
    auto kind = std::ranges::find_if(
        kinds, [&](const auto& k) { return k.first.tokens == h.tokens && k.first.ended == h.ended; });
    if (kind == kinds.end()) kind = kinds.insert(kind, {h, 0});
    ++kind->second;
  }
  REQUIRE(kinds.size() == 7);  // 1 + 2 * 3
  double chi_square = 0, total = 0;
  for (const auto& [h, count] : kinds) {
    const double expected = static_cast<double>(rows) * std::exp(h.log_probability);
    total += std::exp(h.log_probability);
    chi_square += (count - expected) * (count - expected) / expected;
  }
  CHECK(total == doctest::Approx(1).epsilon(1e-12));
  CHECK(chi_square < 38.3);  // 6 degrees of freedom: once in a million
}

TEST_CASE("sample: a row's symbols do not depend on where other rows end, and a seed gives them again") {
  const HistoryModel model{.vocabulary = 8, .allowed = 8, .sharpness = 1};
  Tape<double> tape = Tape<double>::inference();
  const auto run = [&](std::int32_t end, std::uint64_t seed) {
    Rng rng{seed};
    return sample(tape, tape.constant({3, 1}, starts), firsts, model, {.steps = 25, .end = end}, {.top_k = 6}, rng);
  };
  const auto ending = run(4, 7), endless = run(-1, 7), other = run(-1, 8);
  bool cut = false;
  for (std::size_t b = 0; b < 3; ++b) {
    CHECK(endless[b].tokens.size() == 25);
    CHECK(endless[b].tokens != other[b].tokens);
    REQUIRE(ending[b].tokens.size() <= 25);
    cut = cut || ending[b].ended;
    CHECK(std::equal(ending[b].tokens.begin(), ending[b].tokens.end(), endless[b].tokens.begin()));
    if (ending[b].ended) CHECK(endless[b].tokens[ending[b].tokens.size()] == 4);
  }
  CHECK(cut);
  CHECK(run(-1, 7)[1].tokens == endless[1].tokens);
}

TEST_CASE("sample: before min_steps no row ends, and the others keep their proportions") {
  const HistoryModel model{.vocabulary = 3, .allowed = 3, .sharpness = 0.5};
  Tape<double> tape = Tape<double>::inference();
  Rng rng{5};
  const std::vector<std::int32_t> tokens(300, 0);
  std::size_t shortest = 100;
  for (const Hypothesis& h :
       sample(tape, tape.filled({300, 1}, 0.2), tokens, model, {.steps = 30, .end = 1, .min_steps = 4}, {}, rng)) {
    shortest = std::min(shortest, h.tokens.size());
    CHECK(h.log_probability == doctest::Approx(walked(model, 0.2, 0, h, 1)).epsilon(1e-12));
  }
  CHECK(shortest == 4);
}

TEST_CASE("decoding: logits that are no numbers are an error that names row and step") {
  Tape<double> tape = Tape<double>::inference();
  const std::vector<std::int32_t> tokens{0, 0};
  const auto state = tape.zeros({2, 1});
  const auto greedily = [&](Planted step) { greedy(tape, state, tokens, step, {.steps = 5}); };
  const auto drawn = [&](Planted step) {
    Rng rng;
    sample(tape, state, tokens, step, {.steps = 5}, {}, rng);
  };
  const auto beamed = [&](Planted step) { beam_search(tape, state, tokens, step, {.width = 2, .steps = 5}); };
  CHECK_THROWS_WITH_AS(greedily({2, 1, nan_value}), "greedy: logit 1 of row 1 at step 2 is nan", ValueError);
  CHECK_THROWS_WITH_AS(drawn({2, 0, infinity}), "sample: logit 1 of row 0 at step 2 is inf", ValueError);
  CHECK_THROWS_WITH_AS(beamed({2, 3, nan_value}), "beam_search: logit 1 of row 3 at step 2 is nan", ValueError);
  CHECK_THROWS_WITH_AS(greedily({2, 1, -infinity}), "greedy: every symbol of row 1 at step 2 is forbidden", ValueError);
  CHECK_THROWS_WITH_AS(beamed({2, 0, -infinity}), "beam_search: every symbol of row 0 at step 2 is forbidden",
                       ValueError);
  CHECK_NOTHROW(greedily({2}));
  CHECK_NOTHROW(drawn({2}));
  CHECK_NOTHROW(beamed({2}));
}

TEST_CASE("decoding: the end alone is not enough where the end is forbidden") {
  Tape<double> tape = Tape<double>::inference();
  const std::vector<std::int32_t> tokens{0};
  const HistoryModel only_end{.vocabulary = 3, .allowed = 1};
  const auto state = tape.zeros({1, 1});
  CHECK(greedy(tape, state, tokens, only_end, {.steps = 5, .end = 0})[0].ended);
  CHECK(beam_search(tape, state, tokens, only_end, {.width = 3, .steps = 5, .end = 0, .best = 3})[0].size() == 1);
  CHECK_THROWS_WITH_AS(greedy(tape, state, tokens, only_end, {.steps = 5, .end = 0, .min_steps = 1}),
                       "greedy: every symbol of row 0 at step 0 is forbidden", ValueError);
  CHECK_THROWS_WITH_AS(beam_search(tape, state, tokens, only_end, {.width = 3, .steps = 5, .end = 0, .min_steps = 1}),
                       "beam_search: every symbol of row 0 at step 0 is forbidden", ValueError);
}

TEST_CASE("decoding: options and shapes that do not fit are refused") {
  Tape<double> tape = Tape<double>::inference();
  const std::vector<std::int32_t> tokens{0, 0};
  const std::vector<Index> three{1, 1, 1}, long_ones{2, 9};
  const auto state = tape.zeros({2, 1});
  const HistoryModel model, seeing{.source = 4};
  const auto beam = [&](const BeamOptions& options, const HistoryModel& m) {
    beam_search(tape, state, tokens, m, options);
  };
  const auto refused = [&](const BeamOptions& options, const char* message) {
    CHECK_THROWS_WITH_AS(beam(options, model), message, ValueError);
  };
  refused({.width = 5, .steps = 3}, "beam_search: a beam of 5 is wider than the vocabulary of 4");
  refused({.width = 0, .steps = 3}, "beam_search: a width of 0");
  refused({.width = 2}, "beam_search: 0 steps");
  refused({.width = 2, .steps = 3, .end = 4}, "beam_search: the end symbol 4 is outside a vocabulary of 4");
  refused({.width = 2, .steps = 3, .min_steps = 4}, "beam_search: at least 4 steps of at most 3");
  refused({.width = 2, .steps = 3, .best = 3}, "beam_search: the 3 best of a beam of 2");
  refused({.width = 2, .steps = 3, .length_penalty = -1}, "beam_search: the length penalty -1 is negative");
  refused({.width = 2, .steps = 3, .coverage_penalty = -1}, "beam_search: the coverage penalty -1 is negative");
  refused({.width = 2, .steps = 3, .coverage_penalty = 1},
          "beam_search: the coverage penalty needs attention weights, and step 0 gave none");
  CHECK_THROWS_WITH_AS(beam({.width = 2, .steps = 3, .source_lengths = three}, model),
                       "beam_search: 3 source lengths for 2 sources", ShapeError);
  CHECK_THROWS_WITH_AS(beam({.width = 2, .steps = 3, .coverage_penalty = 1, .source_lengths = long_ones}, seeing),
                       "beam_search: a source of length 9 with 4 attention weights", ShapeError);
  CHECK_THROWS_WITH_AS(greedy(tape, state, tokens, model, {}), "greedy: 0 steps", ValueError);
  CHECK_THROWS_WITH_AS(greedy(tape, state, tokens, model, {.steps = 2, .end = 9}),
                       "greedy: the end symbol 9 is outside a vocabulary of 4", ValueError);
  CHECK_THROWS_WITH_AS(greedy(tape, tape.zeros({3, 1}), tokens, model, {.steps = 2}),
                       "greedy: a state of [3, 1] for 2 rows", ShapeError);
  const auto one_row = [](Tape<double>& on, std::span<const std::int32_t>, const Var<double>& s) {
    return std::pair(on.zeros({1, 4}), s);
  };
  CHECK_THROWS_WITH_AS(greedy(tape, state, tokens, one_row, {.steps = 2}),
                       "greedy: logits are [rows, vocabulary] with 2 rows, not [1, 4]", ShapeError);
}
