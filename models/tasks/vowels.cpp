#include <unroll/models/labels.h>
#include <unroll/models/tasks/tasks.h>
#include <unroll/models/tasks/vowels_data.h>

namespace unroll::inline UNROLL_ISA {
namespace {

constexpr Index coefficients = Vowel::coefficients;

struct VowelsOptions {
  FitOptions fit{.epochs = 80, .batch = 16, .rate = 3e-3, .decay = 1e-2, .patience = 40};
  Index block = 30;
  std::string blocks;
  Index hidden = 48, layers = 2;
  double dropout = 0.4;
  double jitter = 0.2;
  static void fields(auto& o, auto&& f) {
    f("block", o.block, "utterances of each speaker, in a file X without a file size_X beside it", range::count);
    f("blocks", o.blocks, "utterances of each speaker in turn, such as 31,35,88, in files that hold so many in all");
    f("hidden", o.hidden, "width of each direction", range::width);
    f("layers", o.layers, "bidirectional layers", range::depth);
    f("dropout", o.dropout, "share of features dropped while training", range::dropped);
    f("jitter", o.jitter, "standard deviation by which coefficients are moved while training", Range{0, 100});
  }
};

/// Bidirectional layers, mean and maximum over time.
struct VowelsModel {
  double dropout_rate, jitter;
  Stacked<Bidirectional<GRU<>>> rnn;
  Linear<> head;

  VowelsModel(const VowelsOptions& o, const LabelSymbols& symbols, Rng& rng)
      : dropout_rate(o.dropout),
        jitter(o.jitter),
        rnn(coefficients, o.hidden, o.layers, rng, o.dropout),
        head(4 * o.hidden, symbols.labels.size(), rng) {}

  Var<> logits(Tape<>& tape, std::span<const Vowel* const> vowels) const {
    const std::vector<Index> lengths = lengths_of(vowels);
    const auto batch = static_cast<Index>(vowels.size());
    Tensor<float> x = make_tensor<float>({std::ranges::max(lengths), batch, coefficients}, 0.0F);
    Rng& rng = tape.rng();
    for (std::size_t b = 0; b < vowels.size(); ++b)
      for (std::size_t i = 0; i < vowels[b]->cepstra.size(); ++i) {
        const double moved = tape.training() ? jitter * rng.normal() : 0;
        x(static_cast<Index>(i) / coefficients, static_cast<Index>(b), static_cast<Index>(i) % coefficients) =
            vowels[b]->cepstra[i] + static_cast<float>(moved);
      }
    const Var<> hs = rnn(tape.constant(x), lengths);
    return head(dropout(concat(mean_over_time(hs, lengths), max_over_time(hs, lengths)), dropout_rate));
  }
  Var<> loss(Tape<>& tape, std::span<const Vowel* const> vowels) const {
    return cross_entropy(logits(tape, vowels), targets_of(vowels));
  }
  static void fields(auto& m, auto&& f) { f("rnn", m.rnn), f("head", m.head); }
};

struct Vowels {
  using Options = VowelsOptions;
  using Example = Vowel;
  using Symbols = LabelSymbols;
  using Model = VowelsModel;
  static constexpr const char
      *name = "vowels",
      *what = "who says a vowel, from cepstra of linear prediction",
      *format =
          "text X, 12 numbers a frame, after each utterance an empty line or one of ones, one "
          "speaker after the other; beside it size_X, or in --blocks, how many utterances of each";

  static std::vector<Vowel> read(const std::vector<std::string>& files, const Options& o, BadLines& bad) {
    return read_labelled_vowels(files, o.block, o.blocks, bad);
  }
  static std::vector<std::string> beside(const std::vector<std::string>& files) {
    std::vector<std::string> sizes;
    for (const std::string& file : files) sizes.push_back(sizes_beside(file));
    return sizes;
  }
  static Symbols learn(const std::vector<Vowel>& vowels, const Options&) { return Symbols::of(vowels); }
  static void encode(Vowel& vowel, const Symbols& symbols) { vowel.target = symbols.labels.id(vowel.label); }

  /// The score is the likelihood: on few examples many models have the same accuracy.
  static Validation evaluate(const Model& model, const Symbols& symbols, std::span<const Vowel> vowels) {
    const ConfusionMatrix matrix = confusion(model, vowels, symbols.labels.size());
    double nats = 0;
    for_batches(vowels, 64, [&](Tape<>& tape, std::span<const Vowel* const> batch) {
      nats += static_cast<double>(model.loss(tape, batch).item()) * static_cast<double>(batch.size());
    });
    nats /= static_cast<double>(vowels.size());
    return {-nats, {{"accuracy", matrix.accuracy()}, {"macro_f1", matrix.macro().f1}, {"nats", nats}}};
  }
  /// The input is the name of a file of utterances; the answer a speaker for each.
  static std::string answer(const Model& model, const Symbols& symbols, const std::string& input) {
    BadLines bad;
    const std::vector<Vowel> vowels = read_vowels(input, bad);
    std::string text;
    for (const std::int32_t speaker : likeliest_classes<Vowel>(model, vowels))
      text += (text.empty() ? "" : "\n") + symbols.labels.name(speaker);
    return text;
  }
  static void synthesize(const std::string& path, Index count, Rng& rng) { write_vowels(path, count, rng); }
};

}  // namespace

std::unique_ptr<Task> vowels_task() { return std::make_unique<SupervisedTask<Vowels>>(); }

}  // namespace unroll::inline UNROLL_ISA
