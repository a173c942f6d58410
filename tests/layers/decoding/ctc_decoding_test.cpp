#include <map>

#include <layers/compare.h>
#include <unroll/layers/decoding/ctc_decoding.h>

using namespace unroll;

namespace {

using Symbols = std::vector<std::int32_t>;

/// The probability of all labels that a row may say, by going through its alignments one by one.
std::map<Symbols, double> probabilities(const Tensor<double>& logits, Index row, Index steps, std::int32_t blank) {
  const Index classes = shape_of(logits)[2];
  std::map<Symbols, double> all;
  Symbols alignment(static_cast<std::size_t>(steps), 0);
  for (bool more = true; more;) {
    double p = 1;
    Symbols labels;
    for (std::size_t t = 0; t < alignment.size(); ++t) {
      double sum = 0;
      for (Index c = 0; c < classes; ++c) sum += std::exp(logits(t, row, c));
      p *= std::exp(logits(t, row, alignment[t])) / sum;
      if (alignment[t] != blank && (t == 0 || alignment[t] != alignment[t - 1])) labels.push_back(alignment[t]);
    }
    all[labels] += p;
    more = false;
    for (auto& symbol : alignment) {
      more = ++symbol < classes;
      if (more) break;
      symbol = 0;
    }
  }
  return all;
}

/// What follows depends on the last label alone.
class Bigrams : public PrefixModel {
 public:
  explicit Bigrams(Tensor<double> log_p) : log_p_(std::move(log_p)) {}
  void restart() override { last_ = {0}; }
  Index extend(Index prefix, std::int32_t label) override {
    CHECK(prefix < static_cast<Index>(last_.size()));
    last_.push_back(label);
    return static_cast<Index>(last_.size()) - 1;
  }
  double log_probability(Index prefix, std::int32_t label) override {
    return log_p_(last_[static_cast<std::size_t>(prefix)], label);
  }
  double end_log_probability(Index prefix) override { return log_probability(prefix, 0); }
  double of(const Symbols& labels) const {
    double total = 0;
    std::int32_t last = 0;
    for (const auto label : labels) total += log_p_(last, std::exchange(last, label));
    return total + log_p_(last, 0);
  }

 private:
  Tensor<double> log_p_;
  Symbols last_{0};
};

const std::vector<Index> lengths{5, 3, 4};

}  // namespace

TEST_CASE("ctc decoding: greedy joins repetitions, leaves blanks out and reads no padding") {
  Tape<float> tape = Tape<float>::inference();
  Tensor<float> x = make_tensor<float>({6, 2, 3}, 0.0F);
  const std::vector<std::vector<Index>> best{{1, 1, 0, 1, 2, 2}, {0, 2, 1, 1, 2, 2}};
  for (std::size_t b = 0; b < 2; ++b)
    for (std::size_t t = 0; t < 6; ++t) x(t, b, best[b][t]) = 1;
  for (Index c = 0; c < 3; ++c) x(5, 1, c) = x(4, 1, c) = NAN;
  const std::vector<Index> valid{6, 4};
  CHECK(ctc_greedy(tape.constant(x), valid) == Labels{{1, 1, 2}, {2, 1}});
  CHECK_THROWS_WITH_AS(ctc_greedy(tape.constant(x)), "ctc_greedy: a logit of step 4 of row 1 is NaN", ValueError);
}

TEST_CASE("ctc decoding: a beam that holds all prefixes finds what going through all alignments finds") {
  for (const std::int32_t blank : {0, 2}) {
    Rng rng(static_cast<std::uint64_t>(3 + blank));
    Tape<double> tape = Tape<double>::inference();
    const Tensor<double> x = random_tensor({5, 3, 3}, rng, 2);
    const auto found = ctc_beam_search(tape.constant(x), lengths, {.blank = blank, .width = 64, .best = 5});
    REQUIRE(found.size() == 3);
    for (Index b = 0; b < 3; ++b) {
      const auto all = probabilities(x, b, lengths[static_cast<std::size_t>(b)], blank);
      std::vector<std::pair<double, Symbols>> sorted;
      for (const auto& [labels, p] : all) sorted.emplace_back(-p, labels);
      std::sort(sorted.begin(), sorted.end());
      const auto& transcripts = found[static_cast<std::size_t>(b)];
      REQUIRE(transcripts.size() == 5);
      for (std::size_t k = 0; k < 5; ++k) {
        CHECK(transcripts[k].labels == sorted[k].second);
        CHECK(transcripts[k].log_probability == doctest::Approx(std::log(-sorted[k].first)).epsilon(1e-12));
        CHECK(transcripts[k].score == transcripts[k].log_probability);
      }
    }
  }
}

TEST_CASE("ctc decoding: the likeliest labels need not be those of the likeliest alignment") {
  Tape<double> tape = Tape<double>::inference();
  // Blank twice has 0.36; label 1 has 0.64 in three alignments.
  Tensor<double> x = make_tensor<double>({2, 1, 2}, std::log(0.6));
  x(0, 0, 1) = x(1, 0, 1) = std::log(0.4);
  CHECK(ctc_greedy(tape.constant(x)) == Labels{{}});
  const auto found = ctc_beam_search(tape.constant(x))[0][0];
  CHECK(found.labels == Symbols{1});
  CHECK(found.log_probability == doctest::Approx(std::log(0.64)).epsilon(1e-12));
}

TEST_CASE("ctc decoding: a language model, its end and the bonus count as their formula says") {
  Rng rng(11);
  Tape<double> tape = Tape<double>::inference();
  const Tensor<double> x = random_tensor({5, 3, 3}, rng, 1.5);
  Bigrams model(random_tensor({3, 3}, rng) - 2.0);
  const CtcBeamOptions options{.width = 64, .language_weight = 0.7, .label_bonus = 1.1};
  const auto found = ctc_beam_search(tape.constant(x), lengths, options, &model);
  for (Index b = 0; b < 3; ++b) {
    double best = -INFINITY;
    Symbols wanted;
    for (const auto& [labels, p] : probabilities(x, b, lengths[static_cast<std::size_t>(b)], 0)) {
      const double score = std::log(p) + 0.7 * model.of(labels) + 1.1 * static_cast<double>(labels.size());
      if (score > best) best = score, wanted = labels;
    }
    const Transcript& transcript = found[static_cast<std::size_t>(b)][0];
    CHECK(transcript.labels == wanted);
    CHECK(transcript.score == doctest::Approx(best).epsilon(1e-12));
  }
}

TEST_CASE("ctc decoding: a recurrent language model reads each prefix as it would alone") {
  Rng rng(13);
  Embedding<double> embed(4, 3, rng);
  LSTM<double> rnn(3, 5, rng);
  Linear<double> head(5, 4, rng);
  Tape<double> tape = Tape<double>::inference();
  using State = LSTM<double>::State;
  const auto step = [&](std::int32_t label, const State& state) {
    const State next = rnn.step(embed(tape, std::span<const std::int32_t>(&label, 1), Shape{1}), state);
    return std::pair{Var<double>(head(next.h)), next};
  };
  RecurrentPrefixModel<double, State> model(
      tape, [&] { return rnn.initial(tape, 1); }, step, 0, 3);
  const auto alone = [&](const Symbols& labels) {
    Tape<double> fresh = Tape<double>::inference();
    Symbols read{0};
    read.insert(read.end(), labels.begin(), labels.end());
    const Var<double> hs = rnn(embed(fresh, read, Shape{static_cast<Index>(read.size()), 1})).outputs;
    return Tensor<double>(log_softmax(head(hs[static_cast<Index>(read.size()) - 1])).value());
  };
  const Index one = model.extend(0, 1), two = model.extend(0, 2), one_two = model.extend(one, 2);
  const std::vector<std::pair<Index, Symbols>> read{{0, {}}, {one, {1}}, {two, {2}}, {one_two, {1, 2}}};
  for (const auto& [prefix, labels] : read) {
    for (std::int32_t c = 0; c < 4; ++c)
      CHECK(model.log_probability(prefix, c) == doctest::Approx(alone(labels)(0, c)).epsilon(1e-12));
    CHECK(model.end_log_probability(prefix) == model.log_probability(prefix, 3));
  }
  CHECK_THROWS_WITH_AS(model.log_probability(0, 4), "prefix_model: label 4 is outside 0 .. 3", IndexError);

  const Tensor<double> x = random_tensor({6, 1, 3}, rng);
  Tape<double> logits = Tape<double>::inference();
  const auto found = ctc_beam_search(logits.constant(x), {}, {.width = 8, .language_weight = 0.5}, &model)[0][0];
  double language = 0;
  for (std::size_t k = 0; k <= found.labels.size(); ++k)
    language += alone(Symbols(found.labels.begin(), found.labels.begin() + static_cast<Index>(k)))(
        0, k < found.labels.size() ? found.labels[k] : 3);
  CHECK(found.score == doctest::Approx(found.log_probability + 0.5 * language).epsilon(1e-12));
}

TEST_CASE("ctc decoding: errors are sentences") {
  Tape<float> tape = Tape<float>::inference();
  const Var<float> x = tape.zeros({4, 2, 3});
  const std::vector<Index> one{1}, long_row{4, 5};
  CHECK_THROWS_WITH_AS(ctc_greedy(x, one), "ctc_greedy: 1 lengths for logits [4, 2, 3]", ShapeError);
  CHECK_THROWS_WITH_AS(ctc_greedy(x, {}, 3), "ctc_greedy: the blank 3 is outside 0 .. 2", IndexError);
  CHECK_THROWS_WITH_AS(ctc_beam_search(x, long_row), "ctc_beam_search: length 5 of row 1 in logits [4, 2, 3]",
                       ShapeError);
  CHECK_THROWS_WITH_AS(ctc_beam_search(x, {}, {.width = 2, .best = 3}),
                       "ctc_beam_search: the 3 best of a beam of 2 are wanted", ValueError);
  CHECK_THROWS_AS(ctc_beam_search(tape.zeros({4, 3})), ShapeError);
  CHECK_THROWS_WITH_AS(ctc_beam_search(tape.filled({1, 1, 2}, NAN)),
                       "ctc_beam_search: the largest logit of step 0 of row 0 is nan", ValueError);
}
