#include <unroll/models/labels.h>
#include <unroll/models/metrics/transcripts.h>
#include <unroll/models/tasks/speech_data.h>
#include <unroll/models/tasks/tasks.h>

namespace unroll::inline UNROLL_ISA {
namespace {

constexpr Index bands = Utterance::bands;

struct SpeechOptions {
  FitOptions fit{.epochs = 20, .batch = 16, .rate = 2e-3, .decay = 1e-2};
  Index digits = 5, joins = 2;
  std::string speaker;
  Index hidden = 96, layers = 2;
  double dropout = 0.3;
  double warp = 0.1;
  static void fields(auto& o, auto&& f) {
    f("digits", o.digits, "recordings of a speaker are also joined to strings of up to so many; 1: they are not",
      Range{1, 100});
    f("joins", o.joins, "strings that a recording is in, besides standing alone", Range{0, 100});
    f("speaker", o.speaker, "the speaker to validate on; empty: a share of all");
    f("hidden", o.hidden, "width of the convolution and of each direction", range::width);
    f("layers", o.layers, "bidirectional layers", range::depth);
    f("dropout", o.dropout, "share of features dropped while training", range::dropped);
    f("warp", o.warp, "by how much time and pitch are stretched at most while training", Range{0, 0.5});
  }
};

constexpr Index stride = 2;  // frames to a step of the recurrent layers

/// Label 0 is the blank.
struct SpeechModel {
  double dropout_rate, warp;
  TimeConvolution<> front;
  Stacked<Bidirectional<LSTM<>>> rnn;
  Linear<> head;

  SpeechModel(const SpeechOptions& o, const LabelSymbols& symbols, Rng& rng)
      : dropout_rate(o.dropout),
        warp(o.warp),
        front(bands, o.hidden, 5, rng, {.padding = Padding::centred, .stride = stride}),
        rnn(o.hidden, o.hidden, o.layers, rng, o.dropout),
        head(2 * o.hidden, symbols.labels.size() + 1, rng) {}

  struct Heard {
    Var<> logits;  // [steps, batch, labels and the blank]
    std::vector<Index> lengths;
  };
  Heard hear(Tape<>& tape, std::span<const Utterance* const> utterances) const {
    std::vector<Index> frames;
    const Var<> xs = features(tape, utterances, frames);
    const std::vector<Index> steps = front.lengths(frames);
    const Var<> ys = relu(front(xs, frames));
    const Var<> hs = rnn(dropout(ys, dropout_rate), steps);
    return {head(dropout(hs, dropout_rate)), steps};
  }
  Var<> loss(Tape<>& tape, std::span<const Utterance* const> utterances) const {
    const Heard heard = hear(tape, utterances);
    Labels targets;
    for (const Utterance* u : utterances) targets.push_back(u->target);
    return ctc_loss(heard.logits, targets, heard.lengths);
  }
  static void fields(auto& m, auto&& f) { f("front", m.front), f("rnn", m.rnn), f("head", m.head); }

 private:
  /// [frames, batch, bands]. While training time and pitch are stretched, and a few bands and a few frames hidden (Park
  /// et al. 2019).
  Var<> features(Tape<>& tape, std::span<const Utterance* const> utterances, std::vector<Index>& lengths) const {
    Rng& rng = tape.rng();
    const auto factor = [&] { return tape.training() ? 1 + rng.uniform(-warp, warp) : 1.0; };
    std::vector<double> paces;
    for (const Utterance* u : utterances) {
      const auto frames = static_cast<double>(u->length());
      lengths.push_back(std::max(stride * u->least_steps(), static_cast<Index>(std::lround(frames * factor()))));
      paces.push_back(frames / static_cast<double>(lengths.back()));
    }
    const Index longest = *std::max_element(lengths.begin(), lengths.end());
    Tensor<float> x = make_tensor<float>({longest, static_cast<Index>(utterances.size()), bands}, 0.0F);
    for (std::size_t b = 0; b < utterances.size(); ++b) {
      const Index frames = lengths[b];
      const double pitch = factor();
      const Index band = rng.below(bands), wide = rng.below(8), frame = rng.below(frames), time = rng.below(8);
      for (Index t = 0; t < frames; ++t)
        for (Index k = 0; k < bands; ++k) {
          const bool hidden = tape.training() && ((k >= band && k < band + wide) || (t >= frame && t < frame + time));
          const double at = static_cast<double>(t) * paces[b], where = static_cast<double>(k) * pitch;
          x(t, static_cast<Index>(b), k) = hidden ? 0 : utterances[b]->at(at, where);
        }
    }
    return tape.constant(x);
  }
};

struct Speech {
  using Options = SpeechOptions;
  using Example = Utterance;
  using Symbols = LabelSymbols;
  using Model = SpeechModel;
  static constexpr const char *name = "speech", *what = "the digits that are said, from sound",
                              *format =
                                  "a folder or an archive of WAV files LABELS_SPEAKER_INDEX.wav, such as 7_ann_3.wav";

  static std::vector<Utterance> read(const std::vector<std::string>& files, const Options& o, BadLines& bad) {
    Rng rng{static_cast<std::uint64_t>(o.fit.seed)};
    return read_utterances(files, 2 * 0.01 * stride, {.digits = o.digits, .joins = o.joins}, rng, bad);
  }
  static Symbols learn(const std::vector<Utterance>& utterances, const Options&) {
    SymbolCounts labels;
    for (const Utterance& u : utterances)
      for (const char c : u.text) ++labels[std::string(1, c)];
    return {SymbolTable::labels(labels)};
  }
  static void encode(Utterance& u, const Symbols& symbols) {
    u.target.clear();
    for (const char c : u.text) u.target.push_back(symbols.labels.id(std::string(1, c)) + 1);
  }
  /// Strings of the same recordings stay together.
  static std::string group(const Utterance& u) { return u.group; }
  static std::string held_out_by(const Options& o) { return o.speaker.empty() ? "" : "--speaker"; }
  static std::vector<Utterance> hold_out(std::vector<Utterance>& all, const Options& o) {
    if (o.speaker.empty()) return {};
    const auto first = std::stable_partition(all.begin(), all.end(), [&](auto& u) { return u.speaker != o.speaker; });
    require<ValueError>(first != all.end(), "train: there is no speaker {}", o.speaker);
    require<ValueError>(first != all.begin(), "train: there is no speaker but {}", o.speaker);
    std::vector<Utterance> held(std::make_move_iterator(first), std::make_move_iterator(all.end()));
    all.erase(first, all.end());
    return held;
  }

  static Validation evaluate(const Model& model, const Symbols& symbols, std::span<const Utterance> utterances) {
    const std::vector<std::string> said = transcripts(model, symbols, utterances);
    std::vector<std::string> truth;
    std::array<double, 2> right{}, count{};  // of single labels, and of strings
    for (std::size_t i = 0; i < said.size(); ++i) {
      truth.push_back(utterances[i].text);
      const std::size_t kind = truth[i].size() > 1 ? 1 : 0;
      ++count[kind];
      right[kind] += said[i] == truth[i] ? 1 : 0;
    }
    const double rate = character_errors(truth, said).error_rate();
    Validation v{-rate, {{"digit_error_rate", rate}}};
    if (count[1] > 0) v.fields.emplace_back("string_accuracy", right[1] / count[1]);
    if (count[0] > 0) v.fields.emplace_back("single_digit_accuracy", right[0] / count[0]);
    return v;
  }
  /// The input is the name of a WAV file, or of a folder or an archive of such.
  static std::string answer(const Model& model, const Symbols& symbols, const std::string& input) {
    const std::vector<Utterance> utterances = read_sounds(input);
    const std::vector<std::string> said = transcripts(model, symbols, utterances);
    if (said.size() == 1) return said[0];
    std::string text;
    for (std::size_t i = 0; i < said.size(); ++i)
      text += fmt::format("{}{} {}", i == 0 ? "" : "\n", utterances[i].place, said[i]);
    return text;
  }
  static void synthesize(const std::string& path, Index count, Rng& rng) { write_whistles(path, count, rng); }

 private:
  static std::vector<std::string> transcripts(const Model& model, const Symbols& symbols,
                                              std::span<const Utterance> utterances) {
    return map_batches(utterances, 32, [&](Tape<>& tape, std::span<const Utterance* const> batch) {
      const SpeechModel::Heard heard = model.hear(tape, batch);
      std::vector<std::string> texts;
      for (const auto& found : ctc_beam_search(heard.logits, heard.lengths, {.width = 8})) {
        texts.emplace_back();
        for (const std::int32_t label : found[0].labels) texts.back() += symbols.labels.name(label - 1);
      }
      return texts;
    });
  }
};

}  // namespace

std::unique_ptr<Task> speech_task() { return std::make_unique<SupervisedTask<Speech>>(); }

}  // namespace unroll::inline UNROLL_ISA
