#include <fmt/ranges.h>

#include <unroll/models/data/utf8.h>
#include <unroll/models/metrics/entities.h>
#include <unroll/models/supervised_task.h>
#include <unroll/models/tasks/ner_data.h>
#include <unroll/models/tasks/tasks.h>

namespace unroll::inline UNROLL_ISA {
namespace {

struct NerOptions {
  FitOptions fit{.epochs = 20, .batch = 32, .rate = 2e-3};
  Index words = 100, characters = 30, spelling = 30, hidden = 128, layers = 1;
  double dropout = 0.5, unknown = 0.5;
  static void fields(auto& o, auto&& f) {
    f("words", o.words, "width of the vector of a word", range::width);
    f("characters", o.characters, "width of the vector of a character", range::width);
    f("spelling", o.spelling, "width of each direction over the characters of a word", range::width);
    f("hidden", o.hidden, "width of each direction over the words", range::width);
    f("layers", o.layers, "bidirectional layers over the words", range::depth);
    f("dropout", o.dropout, "share of features dropped while training", range::dropped);
    f("unknown", o.unknown, "share of words met but once that are taken as unknown while training", range::share);
  }
};

/// Words and their spelling, read both ways, and a conditional random field (Lample et al. 2016, sec. 2 and 4).
struct NerModel {
  using Ids = Sentence::Ids;

  static constexpr Index shape_width = 16;
  double dropout_rate, unknown;
  Index frequent;
  Embedding<> words, characters, shapes;
  Bidirectional<LSTM<>> spelling;
  Stacked<Bidirectional<LSTM<>>> rnn;
  Linear<> head;
  LinearChainCrf<> crf;

  NerModel(const NerOptions& o, const NerSymbols& symbols, Rng& rng)
      : dropout_rate(o.dropout),
        unknown(o.unknown),
        frequent(symbols.frequent),
        words(symbols.words.size(), o.words, rng),
        characters(symbols.characters.size(), o.characters, rng),
        shapes(symbols.shapes.size(), shape_width, rng),
        spelling(o.characters, o.spelling, rng),
        rnn(o.words + shape_width + 2 * o.spelling, o.hidden, o.layers, rng, o.dropout),
        head(2 * o.hidden, symbols.tags.size(), rng),
        crf(symbols.tags.size(), rng, bioes_constraint(symbols.tags.names())) {}

  Var<> emissions(Tape<>& tape, std::span<const Sentence* const> sentences) const {
    std::vector<Ids> word_ids, shape_ids;
    for (const Sentence* s : sentences) {
      word_ids.push_back(s->words);
      shape_ids.push_back(s->shapes);
      if (tape.training())
        for (std::int32_t& id : word_ids.back())
          if (id >= frequent && tape.rng().uniform() < unknown) id = 0;
    }
    const Var<> xs = concat(words(tape, Tokens::batch(word_ids)), shapes(tape, Tokens::batch(shape_ids)),
                            spellings(tape, sentences));
    const Var<> hs = rnn(dropout(xs, dropout_rate), lengths_of(sentences));
    return head(dropout(hs, dropout_rate));
  }
  Var<> loss(Tape<>& tape, std::span<const Sentence* const> sentences) const {
    std::vector<Ids> targets;
    for (const Sentence* s : sentences) targets.push_back(s->targets);
    return crf.loss(emissions(tape, sentences), Tokens::batch(targets), lengths_of(sentences));
  }
  static void fields(auto& m, auto&& f) {
    f("words", m.words), f("characters", m.characters), f("shapes", m.shapes), f("spelling", m.spelling);
    f("rnn", m.rnn), f("head", m.head), f("crf", m.crf);
  }

 private:
  /// The last states over the characters of each token, [time, batch, 2 spelling]: all words of the batch are read at
  /// once, and one that occurs again only once.
  Var<> spellings(Tape<>& tape, std::span<const Sentence* const> sentences) const {
    std::map<Ids, Index> places;
    std::vector<Ids> spelt;
    const Index longest = std::ranges::max(lengths_of(sentences));
    const auto batch = static_cast<Index>(sentences.size());
    std::vector<Index> rows(static_cast<std::size_t>(longest * batch), -1);
    for (std::size_t b = 0; b < sentences.size(); ++b)
      for (std::size_t t = 0; t < sentences[b]->characters.size(); ++t) {
        const Ids& word = sentences[b]->characters[t];
        const auto [place, added] = places.emplace(word, static_cast<Index>(spelt.size()));
        if (added) spelt.push_back(word);
        rows[t * sentences.size() + b] = place->second;
      }
    const Tokens text = Tokens::batch(spelt);
    const auto last = spelling(dropout(characters(tape, text), dropout_rate / 2), text.lengths).last;
    const Var<> read = concat(last.forward.h, last.backward.h);
    return gather_rows(read, rows, {longest, batch, read.shape()[1]});
  }
};

struct Ner {
  using Options = NerOptions;
  using Example = Sentence;
  using Symbols = NerSymbols;
  using Model = NerModel;
  static constexpr const char *name = "ner", *what = "the names in a sentence and what they name",
                              *format =
                                  "columns of CoNLL: a token and, last, its tag (IO, BIO or BIOES) in a line, an "
                                  "empty line between sentences";

  static std::vector<Sentence> read(const std::vector<std::string>& files, const Options&, BadLines& bad) {
    return read_sentences(files, bad);
  }
  static Symbols learn(const std::vector<Sentence>& sentences, const Options&) { return Symbols::learn(sentences); }
  static void encode(Sentence& s, const Symbols& symbols) { symbols.encode(s); }

  /// The tags of each sentence in BIO.
  static std::vector<std::vector<std::string>> predict(const Model& model, const Symbols& symbols,
                                                       std::span<const Sentence> sentences) {
    return map_batches(sentences, 64, [&](Tape<>& tape, std::span<const Sentence* const> batch) {
      std::vector<std::vector<std::string>> tags;
      for (const auto& path : model.crf.viterbi(model.emissions(tape, batch), lengths_of(batch))) {
        std::vector<std::string> names;
        for (const std::int32_t id : path.labels) names.push_back(symbols.tags.name(id));
        tags.push_back(to_bio(names));
      }
      return tags;
    });
  }
  static Validation evaluate(const Model& model, const Symbols& symbols, std::span<const Sentence> sentences) {
    const auto tags = predict(model, symbols, sentences);
    EntityScores scores;
    for (std::size_t i = 0; i < sentences.size(); ++i) scores.add(sentences[i].tags, tags[i]);
    const Detections all = scores.total();
    return {all.f1(), {{"f1", all.f1()}, {"precision", all.precision()}, {"recall", all.recall()}}};
  }
  /// The input, which white space parts into tokens, with its names in brackets: "[PER Ada Lovelace] was born".
  static std::string answer(const Model& model, const Symbols& symbols, const std::string& input) {
    std::vector<Sentence> sentences(1);
    for (const auto word : split_words(input)) sentences[0].tokens.emplace_back(word);
    sentences[0].tags.assign(sentences[0].tokens.size(), "O");
    if (sentences[0].tokens.empty()) return "";
    encode(sentences[0], symbols);
    std::vector<std::string> words = sentences[0].tokens;
    for (const Entity& e : find_entities(predict(model, symbols, sentences)[0])) {
      std::string& first = words[static_cast<std::size_t>(e.first)];
      first = fmt::format("[{} {}", e.type, first);
      words[static_cast<std::size_t>(e.end - 1)] += "]";
    }
    return fmt::format("{}", fmt::join(words, " "));
  }
  static void synthesize(const std::string& path, Index count, Rng& rng) { write_sentences(path, count, rng); }
};

}  // namespace

std::unique_ptr<Task> ner_task() { return std::make_unique<SupervisedTask<Ner>>(); }

}  // namespace unroll::inline UNROLL_ISA
