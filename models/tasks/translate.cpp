#include <unroll/models/tasks/translate.h>

#include <fstream>

#include <unroll/layers/attention/additive_attention.h>
#include <unroll/layers/attention_decoder.h>
#include <unroll/layers/bridge.h>
#include <unroll/layers/decoding/beam_search.h>
#include <unroll/layers/pointer_generator.h>
#include <unroll/layers/tied_embedding.h>
#include <unroll/models/metrics/translation.h>
#include <unroll/models/parallel_text.h>
#include <unroll/models/subwords.h>
#include <unroll/models/tasks/supervised_task.h>

namespace unroll::inline UNROLL_ISA {
namespace {

struct Sentences {
  std::string source, target;
  std::vector<Subwords::Piece> pieces;               // of the source
  std::vector<std::int32_t> source_ids, target_ids;  // the source with the end symbol, so that there is always one
  Index length() const { return static_cast<Index>(source_ids.size() + target_ids.size()); }
};
using Batch = std::span<const Sentences* const>;

struct TranslateOptions {
  FitOptions fit{.epochs = 14, .batch = 64, .rate = 2e-3, .clip = 2};
  Index embedding = 256, hidden = 256, layers = 1;
  double dropout = 0.3, smoothing = 0.1;
  Index merges = 5000;
  bool lower = false;
  Index beam = 5;
  double length_penalty = 1;
  static void fields(auto& o, auto&& f) {
    f("embedding", o.embedding, "width of the vectors of symbols");
    f("hidden", o.hidden, "width of each direction of the encoder, and of the decoder");
    f("layers", o.layers, "bidirectional layers of the encoder");
    f("dropout", o.dropout, "share of features dropped while training");
    f("smoothing", o.smoothing, "share of the target's mass that is spread over all symbols");
    f("merges", o.merges, "byte pairs that become symbols, in each language; 0: whole words that occur twice");
    f("lower", o.lower, "everything in lower case");
    f("beam", o.beam, "hypotheses that are kept open");
    f("length-penalty", o.length_penalty, "0: hypotheses by log probability, 1: nearly by that of a symbol");
  }
};

struct TranslateSymbols {
  Subwords source, target;
  bool lower = false;
  nlohmann::json to_json() const {
    return {{"source", source.to_json()}, {"target", target.to_json()}, {"lower", lower}};
  }
  static TranslateSymbols from_json(const nlohmann::json& json) {
    return {Subwords::from_json(json.at("source")), Subwords::from_json(json.at("target")), json.at("lower")};
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
        bridge(encoder, decoder.cell, rng) {
    require<ValueError>(o.beam > 0 && o.beam <= 100, "train: --beam {} is not in 1 .. 100", o.beam);
  }

  struct Read {
    AttentionMemory<> memory;
    decltype(decoder)::State state;
  };
  Read read(Tape<>& tape, Batch batch) const {
    std::vector<std::vector<std::int32_t>> ids;
    for (const Sentences* s : batch) ids.push_back(s->source_ids);
    const Tokens tokens = Tokens::batch(ids);
    const auto [hs, last] = encoder(dropout(source(tape, tokens), dropout_rate), tokens.lengths);
    const AttentionMemory<> memory = decoder.remember(dropout(hs, dropout_rate), tokens.lengths);
    return {memory, decoder.initial(memory, bridge(last, decoder.cell))};
  }
  Var<> loss(Tape<>& tape, Batch batch) const {
    std::vector<std::vector<std::int32_t>> inputs, targets;
    for (const Sentences* s : batch) {
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
    AttentionMemory<> memory = repeat_rows(source.memory, width);
    std::vector<Index> lengths;
    for (const Index n : source.memory.lengths) lengths.insert(lengths.end(), static_cast<std::size_t>(width), n);
    memory.lengths = lengths;
    const auto step = [&](Tape<>& on, std::span<const std::int32_t> ids, const auto& state, const auto& remembered) {
      const Var<> x = target(on, ids, {static_cast<Index>(ids.size())});
      const auto next = decoder.step(x, state, remembered);
      return DecoderOutput(target.logits(next.output), next.state, next.weights);
    };
    const std::vector<std::int32_t> first(batch.size(), Subwords::end);
    std::vector<Hypothesis> best;
    for (auto& found : beam_search(tape, source.state, first, step,
                                   {.width = width,
                                   .steps = 2 * source.memory.time() + 10,
                                   .end = Subwords::end,
                                   .length_penalty = length_penalty},
                                   memory))
      best.push_back(std::move(found.at(0)));
    return best;
  }
  static void fields(auto& m, auto&& f) {
    f("source", m.source), f("target", m.target), f("encoder", m.encoder), f("decoder", m.decoder),
        f("bridge", m.bridge);
  }
};

/// The text of a hypothesis. A symbol that nobody knows is that of the source which it attended to most.
std::string text_of(const Hypothesis& hypothesis, const Sentences& sentence, const Subwords& symbols) {
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
                                      std::span<const Sentences> sentences, Index beam) {
  std::vector<std::string> texts(sentences.size());
  for_batches(sentences, 64, [&](Tape<>& tape, Batch batch) {
    const std::vector<Hypothesis> found = model.translate(tape, batch, beam);
    for (std::size_t i = 0; i < batch.size(); ++i)
      texts[static_cast<std::size_t>(batch[i] - sentences.data())] = text_of(found[i], *batch[i], symbols.target);
  });
  return texts;
}

struct Translate {
  using Options = TranslateOptions;
  using Example = Sentences;
  using Symbols = TranslateSymbols;
  using Model = TranslateModel;
  static constexpr const char *name = "translate", *what = "a sentence in another language",
                              *format =
                                  "two text files whose lines correspond, SOURCE TARGET, or one with "
                                  "SOURCE<TAB>TARGET in each line";

  static std::vector<Sentences> read(const std::vector<std::string>& files, const Options& options, BadLines& bad) {
    std::vector<Sentences> all;
    for (SentencePair& pair : read_parallel_text(files, bad)) {
      if (options.lower) pair = {lower_case(pair.source), lower_case(pair.target)};
      all.push_back({std::move(pair.source), std::move(pair.target), {}, {}, {}});
    }
    return all;
  }
  static std::string group(const Sentences& s) { return s.source; }
  static Symbols learn(const std::vector<Sentences>& all, const Options& options) {
    require<ValueError>(options.merges >= 0, "train: --merges {} is negative", options.merges);
    SymbolCounts sources, targets;
    for (const Sentences& s : all) {
      for (const std::string& token : split_tokens(s.source)) ++sources[token];
      for (const std::string& token : split_tokens(s.target)) ++targets[token];
    }
    const auto symbols = [&](const SymbolCounts& tokens) {
      return options.merges > 0 ? Subwords::learn(tokens, options.merges) : Subwords::words(tokens);
    };
    return {symbols(sources), symbols(targets), options.lower};
  }
  static void encode(Sentences& s, const Symbols& symbols) {
    s.pieces = symbols.source.split(s.source);
    s.source_ids.clear();
    for (const Subwords::Piece& piece : s.pieces) s.source_ids.push_back(piece.id);
    s.source_ids.push_back(Subwords::end);
    s.target_ids = symbols.target.ids(s.target);
  }

  /// A sentence with several translations is translated once. `bleu` compares it with each of them, `bleu_any` with all
  /// at once.
  static Validation score(const Model& model, const Symbols& symbols, std::span<const Sentences> sentences,
                          Index beam) {
    std::map<std::string, std::vector<std::string>> references;
    std::vector<Sentences> distinct;
    for (const Sentences& s : sentences) {
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
  static Validation evaluate(const Model& model, const Symbols& symbols, std::span<const Sentences> sentences) {
    return score(model, symbols, sentences, model.beam);
  }
  /// Greedily, of a thousand examples at most.
  static Validation validate(const Model& model, const Symbols& symbols, std::span<const Sentences> sentences) {
    constexpr std::size_t most = 1000;
    std::vector<Sentences> some;
    for (std::size_t i = 0; i < std::min(most, sentences.size()); ++i)
      some.push_back(sentences[i * sentences.size() / std::min(most, sentences.size())]);
    return score(model, symbols, some, 1);
  }
  static std::string answer(const Model& model, const Symbols& symbols, const std::string& input) {
    std::vector<Sentences> one(1);
    one[0].source = symbols.lower ? lower_case(input) : input;
    encode(one[0], symbols);
    return translations(model, symbols, one, model.beam)[0];
  }

  /// A toy language: of each clause of another one the words in reverse, word by word, and names as they are.
  static void synthesize(const std::string& path, Index count, Rng& rng) {
    std::ofstream out(path);
    require<FileError>(out.good(), "{} cannot be written", path);
    static constexpr std::array onsets{"b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t"};
    static constexpr std::array vowels{"a", "e", "i", "o", "u"};
    const auto syllable = [&](Index k) {
      return std::string(onsets[static_cast<std::size_t>(k % 12)]) + vowels[static_cast<std::size_t>(k / 12 % 5)];
    };
    const auto name = [&] {
      std::string made = syllable(rng.below(60)) + syllable(rng.below(60)) + syllable(rng.below(60)) + "x";
      made[0] = static_cast<char>(made[0] - 'a' + 'A');
      return made;
    };
    for (Index i = 0; i < count; ++i) {
      std::string source, target;
      for (Index clauses = 1 + rng.below(2); clauses > 0; --clauses) {
        std::string from, to;
        for (Index words = 2 + rng.below(4); words > 0; --words) {
          const Index word = rng.below(40);
          const std::string copied = word < 3 ? name() : "";
          from += (from.empty() ? "" : " ") + (word < 3 ? copied : syllable(word) + "n");
          to = (word < 3 ? copied : syllable(word + 17) + syllable(word)) + (to.empty() ? "" : " ") + to;
        }
        source += from + (clauses > 1 ? ", " : "."), target += to + (clauses > 1 ? ", " : ".");
      }
      out << source << '\t' << target << '\n';
    }
    require<FileError>(out.good(), "{} cannot be written", path);
  }
};

}  // namespace

std::unique_ptr<Task> translate_task() { return std::make_unique<SupervisedTask<Translate>>(); }

}  // namespace unroll::inline UNROLL_ISA
