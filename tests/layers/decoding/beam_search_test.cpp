#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include <layers/decoding/history_model.h>
#include <unroll/layers/decoding/beam_search.h>
#include <unroll/layers/decoding/generate.h>

using namespace unroll;

namespace {

using Found = std::vector<std::vector<Hypothesis>>;

double score_of(const Hypothesis& h, const BeamOptions& o, Index source_length) {
  const double length = static_cast<double>(h.tokens.size()) + (h.ended ? 1 : 0);
  double coverage = 0;
  if (o.coverage_penalty > 0)
    for (Index i = 0; i < source_length; ++i) {
      double sum = 0;
      for (std::size_t t = 0; t < h.attention.shape()[0]; ++t) sum += h.attention(t, static_cast<std::size_t>(i));
      coverage += std::log(std::min(sum, 1.0));
    }
  return h.log_probability / std::pow((5 + length) / 6, o.length_penalty) + o.coverage_penalty * coverage;
}

/// Every sequence that the model can make, best first.
std::vector<Hypothesis> exhaustive(const HistoryModel& model, double state, std::int32_t token, const BeamOptions& o,
                                   Index source_length) {
  std::vector<Hypothesis> all;
  std::vector<std::vector<double>> attention;
  const auto keep = [&](std::vector<std::int32_t> tokens, double log_probability, bool ended) {
    Hypothesis h;
    h.tokens = std::move(tokens);
    h.log_probability = log_probability;
    h.ended = ended;
    h.attention = make_tensor<double>({static_cast<Index>(attention.size()), model.source});
    for (std::size_t t = 0; t < attention.size(); ++t)
      std::copy(attention[t].begin(), attention[t].end(), h.attention.data() + static_cast<Index>(t) * model.source);
    h.score = score_of(h, o, source_length);
    all.push_back(h);
  };
  const auto walk = [&](auto& self, double from, std::int32_t last, std::vector<std::int32_t> tokens,
                        double p) -> void {
    const double now = HistoryModel::mix(from, last);
    const std::vector<double> next = model.log_softmax(now);
    const auto depth = static_cast<Index>(attention.size());
    attention.push_back(model.attention(now));
    for (std::int32_t v = 0; v < model.allowed; ++v) {
      if (v == o.end) {
        if (depth >= o.min_steps) keep(tokens, p + next[static_cast<std::size_t>(v)], true);
        continue;
      }
      std::vector<std::int32_t> more = tokens;
      more.push_back(v);
      if (depth + 1 == o.steps)
        keep(more, p + next[static_cast<std::size_t>(v)], false);
      else
        self(self, now, v, more, p + next[static_cast<std::size_t>(v)]);
    }
    attention.pop_back();
  };
  walk(walk, state, token, {}, 0);
  std::ranges::stable_sort(all, std::greater{}, &Hypothesis::score);
  return all;
}

void same(const Hypothesis& a, const Hypothesis& b) {
  CHECK(a.tokens == b.tokens);
  CHECK(a.ended == b.ended);
  CHECK(a.score == doctest::Approx(b.score).epsilon(1e-12));
  CHECK(a.log_probability == doctest::Approx(b.log_probability).epsilon(1e-12));
}

const std::vector<double> starts{0.11, 0.42, 0.73, 0.95};
const std::vector<std::int32_t> firsts{0, 2, 1, 0};

Found search(const HistoryModel& model, const BeamOptions& options, std::size_t from = 0, std::size_t to = 4) {
  Tape<double> tape = Tape<double>::inference();
  const auto rows = static_cast<Index>(to - from);
  const Var<double> state = tape.constant({rows, 1}, std::span(starts).subspan(from, to - from));
  return beam_search(tape, state, std::span(firsts).subspan(from, to - from), model, options);
}

void against_exhaustive(const HistoryModel& model, const BeamOptions& options) {
  const Found found = search(model, options);
  REQUIRE(found.size() == starts.size());
  for (std::size_t b = 0; b < starts.size(); ++b) {
    const Index length = options.source_lengths.empty() ? model.source : options.source_lengths[b];
    const auto all = exhaustive(model, starts[b], firsts[b], options, length);
    REQUIRE(found[b].size() == std::min(all.size(), static_cast<std::size_t>(options.best)));
    for (std::size_t i = 0; i < found[b].size(); ++i) {
      same(found[b][i], all[i]);
      if (model.source > 0) CHECK(xt::allclose(found[b][i].attention, all[i].attention));
    }
  }
}

}  // namespace

TEST_CASE("beam search: a beam as wide as the vocabulary finds the best of all pairs") {
  for (const std::int32_t end : {-1, 3})
    for (const double alpha : {0.0, 0.6, 1.0})
      against_exhaustive({.vocabulary = 4}, {.width = 4, .steps = 2, .end = end, .length_penalty = alpha, .best = 4});
}

TEST_CASE("beam search: a beam that keeps every sequence is the exhaustive search") {
  for (const double alpha : {0.0, 0.6, 1.0, 2.5})
    for (const Index min_steps : {0, 2, 4})
      for (const Index best : {1, 7, 100})
        for (const double sharpness : {0.5, 4.0})
          against_exhaustive(
              {.vocabulary = 128, .allowed = 4, .sharpness = sharpness},
              {.width = 128, .steps = 4, .end = 2, .min_steps = min_steps, .length_penalty = alpha, .best = best});
}

TEST_CASE("beam search: the same with the coverage penalty, over the whole source or a part") {
  const std::vector<Index> lengths{5, 1, 3, 0};
  for (const std::span<const Index> given : {std::span<const Index>{}, std::span<const Index>(lengths)})
    for (const double beta : {0.2, 2.0})
      for (const double alpha : {0.0, 1.0})
        against_exhaustive({.vocabulary = 128, .allowed = 4, .source = 5}, {.width = 128,
                                                                            .steps = 4,
                                                                            .end = 2,
                                                                            .length_penalty = alpha,
                                                                            .coverage_penalty = beta,
                                                                            .best = 9,
                                                                            .source_lengths = given});
}

TEST_CASE("beam search: the coverage penalty of two steps by hand; padding is not read") {
  Tape<double> tape = Tape<double>::inference();
  Index step = 0;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto model = [&](Tape<double>& on, std::span<const std::int32_t>, const Var<double>& state) {
    const bool first = step++ == 0;
    const std::vector<double> logits{std::log(first ? 0.8 : 0.1), std::log(first ? 0.2 : 0.9)};
    const std::vector<double> weights{first ? 0.7 : 0.6, first ? 0.3 : 0.1, nan};
    return DecoderOutput<double, Var<double>>(on.constant({1, 2}, logits), state, on.constant({1, 3}, weights));
  };
  const std::vector<Index> lengths{2};
  const std::vector<std::int32_t> token{0};
  const BeamOptions options{
      .width = 1, .steps = 2, .end = 1, .length_penalty = 0.6, .coverage_penalty = 0.3, .source_lengths = lengths};
  const Hypothesis h = beam_search(tape, tape.zeros({1, 1}), token, model, options)[0][0];
  CHECK(h.tokens == std::vector<std::int32_t>{0});
  CHECK(h.ended);
  CHECK(h.log_probability == doctest::Approx(std::log(0.8 * 0.9)).epsilon(1e-14));
  CHECK(h.score == doctest::Approx(std::log(0.72) / std::pow(7.0 / 6, 0.6) + 0.3 * std::log(0.4)).epsilon(1e-14));
  CHECK(h.attention(0, 1) == 0.3);
  CHECK(h.attention(1, 0) == 0.6);
}

TEST_CASE("beam search: many sources at once give what each gives alone") {
  const HistoryModel model{.vocabulary = 600, .allowed = 600, .source = 4};
  const BeamOptions options{
      .width = 6, .steps = 9, .end = 7, .length_penalty = 0.8, .coverage_penalty = 0.1, .best = 3};
  const Found together = search(model, options);
  for (std::size_t b = 0; b < starts.size(); ++b) {
    const Found alone = search(model, options, b, b + 1);
    REQUIRE(alone[0].size() == together[b].size());
    for (std::size_t i = 0; i < alone[0].size(); ++i) {
      CHECK(alone[0][i].tokens == together[b][i].tokens);
      CHECK(alone[0][i].score == together[b][i].score);
      CHECK(alone[0][i].log_probability == together[b][i].log_probability);
      CHECK(alone[0][i].attention == together[b][i].attention);
    }
  }
}

TEST_CASE("beam search: a width of 1 is greedy") {
  for (const Index min_steps : {0, 3})
    for (const Index vocabulary : {5, 256, 531}) {
      const HistoryModel model{.vocabulary = vocabulary, .allowed = vocabulary, .source = 3};
      const Found found = search(model, {.width = 1, .steps = 12, .end = 1, .min_steps = min_steps});
      Tape<double> tape = Tape<double>::inference();
      const Var<double> state = tape.constant({4, 1}, starts);
      const auto rows = greedy(tape, state, firsts, model, {.steps = 12, .end = 1, .min_steps = min_steps});
      for (std::size_t b = 0; b < starts.size(); ++b) {
        same(found[b][0], rows[b]);
        CHECK(found[b][0].attention == rows[b].attention);
        CHECK(static_cast<Index>(rows[b].tokens.size()) >= min_steps);
      }
    }
}

TEST_CASE("beam search: ties go to the lower symbol and the earlier beam, and single precision is the same program") {
  Tape<> tape = Tape<>::inference();
  const auto uniform = [](Tape<>& on, std::span<const std::int32_t> last, const Var<>& state) {
    return std::pair(on.zeros({static_cast<Index>(last.size()), 70}), state);
  };
  const auto found = beam_search(tape, tape.zeros({1, 1}), std::vector<std::int32_t>{0}, uniform,
                                 {.width = 3, .steps = 2, .end = 1, .best = 3})[0];
  REQUIRE(found.size() == 3);
  CHECK(found[0].ended);
  CHECK(found[0].tokens.empty());
  CHECK(found[0].log_probability == doctest::Approx(-std::log(70.0)).epsilon(1e-6));
  CHECK(found[1].tokens == std::vector<std::int32_t>{0, 0});
  CHECK(found[2].tokens == std::vector<std::int32_t>{0});
  CHECK(found[2].ended);
}

TEST_CASE("beam search: it stops as soon as nothing better can come") {
  Tape<double> tape = Tape<double>::inference();
  Index steps = 0;
  const auto model = [&](Tape<double>& on, std::span<const std::int32_t> last, const Var<double>& state) {
    ++steps;
    std::vector<double> logits;
    for (std::size_t i = 0; i < last.size(); ++i) logits.insert(logits.end(), {0.0, 5.0, 1.0});
    return std::pair(on.constant({static_cast<Index>(last.size()), 3}, logits), state);
  };
  const auto run = [&](double alpha) {
    steps = 0;
    beam_search(tape, tape.zeros({1, 1}), std::vector<std::int32_t>{0}, model,
                {.width = 2, .steps = 50, .end = 1, .length_penalty = alpha});
    return steps;
  };
  CHECK(run(0) == 1);
  // Symbol 1 ends with -0.025; the best open beam, symbol 2 with -4.025, may become worth -4.025 / lp(50). That is less
  // up to an exponent of 2.297. One step on the best open beam has -8.05.
  CHECK(run(2.28) == 1);
  CHECK(run(2.31) == 2);
}

TEST_CASE("beam search: no sources, no hypotheses") {
  Tape<double> tape = Tape<double>::inference();
  CHECK(beam_search(tape, tape.zeros({0, 1}), std::span<const std::int32_t>{}, HistoryModel{}, {.width = 2, .steps = 3})
            .empty());
}
