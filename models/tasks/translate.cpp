#include <unroll/layers/attention/additive_attention.h>
#include <unroll/layers/attention_decoder.h>
#include <unroll/layers/bridge.h>
#include <unroll/layers/decoding/beam_search.h>
#include <unroll/layers/pointer_generator.h>
#include <unroll/layers/tied_embedding.h>
#include <unroll/models/data/parallel_text.h>
#include <unroll/models/metrics/translation.h>
#include <unroll/models/supervised_task.h>
#include <unroll/models/tasks/tasks.h>
#include <unroll/models/tasks/translate_data.h>

namespace unroll::inline UNROLL_ISA {
namespace {

using Batch = std::span<const TranslatedSentence* const>;

struct TranslateOptions {
  FitOptions fit{.epochs = 14, .batch = 64, .rate = 2e-3, .clip = 2};
  Index embedding = 256, hidden = 256, layers = 1;
  double dropout = 0.3, smoothing = 0.1;
  Index merges = 5000;
  bool lower = false;
  Index beam = 5;
  double length_penalty = 1;
  static void fields(auto& o, auto&& f) {
    f("embedding", o.embedding, "width of the vectors of symbols", range::width);
    f("hidden", o.hidden, "width of each direction of the encoder, and of the decoder", range::width);
    f("layers", o.layers, "bidirectional layers of the encoder", range::depth);
    f("dropout", o.dropout, "share of features dropped while training", range::dropped);
    f("smoothing", o.smoothing, "share of the target's mass that is spread over all symbols", range::dropped);
    f("merges", o.merges, "byte pairs that become symbols, in each language; 0: whole words that occur twice",
      range::count_or_none);
    f("lower", o.lower, "everything in lower case");
    f("beam", o.beam, "hypotheses that are kept open", Range{1, 100});
    f("length-penalty", o.length_penalty, "0: hypotheses by log probability, 1: nearly by that of a symbol",
      Range{0, 100});
  }
};

/// A bidirectional encoder, and a decoder that attends to it (Bahdanau, Cho and Bengio 2015), whose output layer is the
/// table of its symbols.
struct TranslateModel {
  double dropout_rate, smoothing, length_penalty;
  Index beam;
  Embedding<> source;
  TiedEmbedding<> target;
  Stacked<Bidirectional<GRU<>>> encoder;
  AttentionDecoder<GRUCell<>, AdditiveAttention<>> decoder;
  Bridge<GRUCell<>> bridge;

  TranslateModel(const TranslateOptions& o, const TranslateSymbols& symbols, Rng& rng)
      : dropout_rate(o.dropout),
        smoothing(o.smoothing),
        length_penalty(o.length_penalty),
        beam(o.beam),
        source(symbols.source.size(), o.embedding, rng),
        target(symbols.target.size(), o.embedding, rng),
        encoder(o.embedding, o.hidden, o.layers, rng, o.dropout),
        decoder(o.embedding, {o.embedding, o.hidden, rng}, {o.hidden, 2 * o.hidden, o.hidden, rng}, rng,
                ReadoutKind::tanh, o.embedding),
        bridge(encoder, decoder.cell, rng) {}

  struct Read {
    AttentionMemory<> memory;
    decltype(decoder)::State state;
  };
  Read read(Tape<>& tape, Batch batch) const {
    std::vector<std::vector<std::int32_t>> ids;
    for (const TranslatedSentence* s : batch) ids.push_back(s->source_ids);
    const Tokens tokens = Tokens::batch(ids);
    const auto [hs, last] = encoder(dropout(source(tape, tokens), dropout_rate), tokens.lengths);
    const AttentionMemory<> memory = decoder.remember(dropout(hs, dropout_rate), tokens.lengths);
    return {memory, decoder.initial(memory, bridge(last, decoder.cell))};
  }
  Var<> loss(Tape<>& tape, Batch batch) const {
    std::vector<std::vector<std::int32_t>> inputs, targets;
    for (const TranslatedSentence* s : batch) {
      inputs.push_back(s->target_ids), targets.push_back(s->target_ids);
      inputs.back().insert(inputs.back().begin(), Subwords::end);
      targets.back().push_back(Subwords::end);
    }
    const Read source = read(tape, batch);
    const Tokens in = Tokens::batch(inputs);
    const Var<> ys = decoder(dropout(target(tape, in), dropout_rate), source.state, source.memory, in.lengths);
    return cross_entropy(target, dropout(ys, dropout_rate), Tokens::batch(targets), {.smoothing = smoothing});
  }
  /// The best hypothesis of each sentence that a beam finds.
  std::vector<Hypothesis> translate(Tape<>& tape, Batch batch, Index hypotheses) const {
    const Index width = std::min(hypotheses, target.bias.shape()[0]);
    const Read source = read(tape, batch);
    const AttentionMemory<> memory = repeat_rows(source.memory, width);
    const auto step = [&](Tape<>& on, std::span<const std::int32_t> ids, const auto& state, const auto& remembered) {
      const Var<> x = target(on, ids, {static_cast<Index>(ids.size())});
      const auto next = decoder.step(x, state, remembered);
      return DecoderOutput(target.logits(next.output), next.state, next.weights);
    };
    const std::vector<std::int32_t> first(batch.size(), Subwords::end);
    const BeamOptions options{
        .width = width, .steps = 2 * source.memory.time() + 10, .end = Subwords::end, .length_penalty = length_penalty};
    std::vector<Hypothesis> best;
    for (auto& found : beam_search(tape, source.state, first, step, options, memory))
      best.push_back(std::move(found.at(0)));
    return best;
  }
  static void fields(auto& m, auto&& f) {
    f("source", m.source), f("target", m.target), f("encoder", m.encoder), f("decoder", m.decoder),
        f("bridge", m.bridge);
  }
};

/// The text of a hypothesis. A symbol that nobody knows is that of the source which it attended to most.
std::string text_of(const Hypothesis& hypothesis, const TranslatedSentence& sentence, const Subwords& symbols) {
  const std::string unknown = symbols.name(Subwords::unknown);
  std::vector<std::string> words, from;
  for (const std::int32_t id : hypothesis.tokens) words.push_back(symbols.name(id));
  for (const Subwords::Piece& piece : sentence.pieces) from.push_back(piece.text);
  Tape<double> tape = Tape<double>::inference();
  if (!words.empty() && !from.empty())
    copy_unknown(words, unknown, std::span<const std::string>(from), tape.constant(hypothesis.attention));
  return join_tokens(words);
}

std::vector<std::string> translations(const TranslateModel& model, const TranslateSymbols& symbols,
                                      std::span<const TranslatedSentence> sentences, Index beam) {
  return map_batches(sentences, 64, [&](Tape<>& tape, Batch batch) {
    const std::vector<Hypothesis> found = model.translate(tape, batch, beam);
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < batch.size(); ++i) texts.push_back(text_of(found[i], *batch[i], symbols.target));
    return texts;
  });
}

struct Translate {
  using Options = TranslateOptions;
  using Example = TranslatedSentence;
  using Symbols = TranslateSymbols;
  using Model = TranslateModel;
  static constexpr const char *name = "translate", *what = "a sentence in another language",
                              *format =
                                  "two text files whose lines correspond, SOURCE TARGET, or one with "
                                  "SOURCE<TAB>TARGET in each line";

  static std::vector<TranslatedSentence> read(const std::vector<std::string>& files, const Options& o, BadLines& bad) {
    return read_translations(files, o.lower, bad);
  }
  static std::string group(const TranslatedSentence& s) { return s.source; }
  static Symbols learn(const std::vector<TranslatedSentence>& all, const Options& o) {
    return Symbols::learn(all, o.merges, o.lower);
  }
  static void encode(TranslatedSentence& s, const Symbols& symbols) { symbols.encode(s); }

  /// A sentence with several translations is translated once. `bleu` compares it with each of them, `bleu_any` with all
  /// at once.
  static Validation score(const Model& model, const Symbols& symbols, std::span<const TranslatedSentence> sentences,
                          Index beam) {
    std::map<std::string, std::vector<std::string>> references;
    std::vector<TranslatedSentence> distinct;
    for (const TranslatedSentence& s : sentences) {
      std::vector<std::string>& of_source = references[s.source];
      if (of_source.empty()) distinct.push_back(s);
      of_source.push_back(s.target);
    }
    const std::vector<std::string> texts = translations(model, symbols, distinct, beam);
    Bleu each, any;
    Chrf chrf;
    for (std::size_t i = 0; i < distinct.size(); ++i) {
      const std::vector<std::string>& all = references[distinct[i].source];
      for (const std::string& one : all) each.add(texts[i], {&one, 1}), chrf.add(texts[i], {&one, 1});
      any.add(texts[i], all);
    }
    const double bleu = each.score().score;
    return {bleu, {{"bleu", bleu}, {"bleu_any", any.score().score}, {"chrf", chrf.score()}}};
  }
  static Validation evaluate(const Model& model, const Symbols& symbols,
                             std::span<const TranslatedSentence> sentences) {
    return score(model, symbols, sentences, model.beam);
  }
  /// Greedily, of a thousand examples at most.
  static Validation validate(const Model& model, const Symbols& symbols,
                             std::span<const TranslatedSentence> sentences) {
    constexpr std::size_t most = 1000;
    std::vector<TranslatedSentence> some;
    for (std::size_t i = 0; i < std::min(most, sentences.size()); ++i)
      some.push_back(sentences[i * sentences.size() / std::min(most, sentences.size())]);
    return score(model, symbols, some, 1);
  }
  static std::string answer(const Model& model, const Symbols& symbols, const std::string& input) {
    std::vector<TranslatedSentence> one(1);
    one[0].source = symbols.lower ? lower_case(input) : input;
    encode(one[0], symbols);
    return translations(model, symbols, one, model.beam)[0];
  }
  static void synthesize(const std::string& path, Index count, Rng& rng) { write_translations(path, count, rng); }
};

}  // namespace

std::unique_ptr<Task> translate_task() { return std::make_unique<SupervisedTask<Translate>>(); }

}  // namespace unroll::inline UNROLL_ISA
