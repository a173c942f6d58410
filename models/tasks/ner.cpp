#include <unroll/models/tasks/ner.h>

#include <fstream>

#include <fmt/ranges.h>

#include <unroll/models/conll.h>
#include <unroll/models/metrics/entities.h>
#include <unroll/models/symbol_table.h>
#include <unroll/models/tasks/supervised_task.h>
#include <unroll/models/utf8.h>

namespace unroll::inline UNROLL_ISA {
namespace {

using Ids = std::vector<std::int32_t>;

struct Sentence : TaggedSentence {
  Ids words, shapes, targets;   // of each token
  std::vector<Ids> characters;  // of each token
  Index length() const { return static_cast<Index>(tokens.size()); }
};

/// A word as its embedding knows it: small letters and zeros (of ASCII).
std::string normal_form(std::string word) {
  for (char& c : word) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c >= '0' && c <= '9' ? '0' : c;
  return word;
}

/// Its letters as X or x, its digits as 0, other scripts as y, with runs of one kind as one: "McDonald's" is XxXx'x.
std::string shape_of(const std::string& word) {
  std::string shape;
  for (const char c : word) {
    const bool upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z', digit = c >= '0' && c <= '9';
    const bool ascii = static_cast<unsigned char>(c) < 0x80;
    const char kind = upper ? 'X' : lower ? 'x' : digit ? '0' : ascii ? c : 'y';
    if (shape.empty() || shape.back() != kind) shape += kind;
  }
  return shape;
}

struct NerOptions {
  FitOptions fit{.epochs = 20, .batch = 32, .rate = 2e-3};
  Index words = 100, characters = 30, spelling = 30, hidden = 128, layers = 1;
  double dropout = 0.5, unknown = 0.5;
  static void fields(auto& o, auto&& f) {
    f("words", o.words, "width of the vector of a word");
    f("characters", o.characters, "width of the vector of a character");
    f("spelling", o.spelling, "width of each direction over the characters of a word");
    f("hidden", o.hidden, "width of each direction over the words");
    f("layers", o.layers, "bidirectional layers over the words");
    f("dropout", o.dropout, "share of features dropped while training");
    f("unknown", o.unknown, "share of words met but once that are taken as unknown while training");
  }
};

struct NerSymbols {
  SymbolTable words, characters, shapes, tags;
  Index frequent = 0;  // words from this id on were met but once
  nlohmann::json to_json() const {
    return {{"words", words.to_json()},
            {"characters", characters.to_json()},
            {"shapes", shapes.to_json()},
            {"tags", tags.to_json()},
            {"frequent", frequent}};
  }
  static NerSymbols from_json(const nlohmann::json& json) {
    const auto table = [&](const char* name) { return SymbolTable::from_json(json.at(name)); };
    return {table("words"), table("characters"), table("shapes"), table("tags"), json.at("frequent").get<Index>()};
  }
};

/// Words and their spelling, read both ways, and a conditional random field (Lample et al. 2016, sec. 2 and 4).
struct NerModel {
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

  Var<> emissions(Tape<>& tape, std::span<const Sentence* const> sentences, std::vector<Index>& lengths) const {
    std::vector<Ids> word_ids, shape_ids;
    for (const Sentence* s : sentences) {
      lengths.push_back(s->length());
      word_ids.push_back(s->words);
      shape_ids.push_back(s->shapes);
      if (tape.training())
        for (std::int32_t& id : word_ids.back())
          if (id >= frequent && tape.rng().uniform() < unknown) id = 0;
    }
    const Var<> xs = concat(words(tape, Tokens::batch(word_ids)), shapes(tape, Tokens::batch(shape_ids)),
                            spellings(tape, sentences));
    const Var<> hs = rnn(dropout(xs, dropout_rate), lengths);
    return head(dropout(hs, dropout_rate));
  }
  Var<> loss(Tape<>& tape, std::span<const Sentence* const> sentences) const {
    std::vector<Index> lengths;
    const Var<> scores = emissions(tape, sentences, lengths);
    std::vector<Ids> targets;
    for (const Sentence* s : sentences) targets.push_back(s->targets);
    return crf.loss(scores, Tokens::batch(targets), lengths);
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
    Index longest = 0;
    for (const Sentence* s : sentences) longest = std::max(longest, s->length());
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
    std::vector<Sentence> sentences;
    for (TaggedSentence& s : read_conll(files, bad)) sentences.push_back({std::move(s), {}, {}, {}, {}});
    return sentences;
  }
  static Symbols learn(const std::vector<Sentence>& sentences, const Options& o) {
    require<ValueError>(o.unknown >= 0 && o.unknown <= 1, "ner: --unknown {} is not in 0 .. 1", o.unknown);
    SymbolCounts words, characters, shapes, tags{{"O", 1}};
    for (const Sentence& s : sentences) {
      for (const std::string& token : s.tokens) {
        ++words[normal_form(token)], ++shapes[shape_of(token)];
        for (const auto c : split_characters(token)) ++characters[std::string(c)];
      }
      for (const Entity& e : find_entities(s.tags))
        for (const char letter : {'B', 'I', 'E', 'S'}) ++tags[fmt::format("{}-{}", letter, e.type)];
    }
    const auto frequent = std::count_if(words.begin(), words.end(), [](const auto& word) { return word.second > 1; });
    return {SymbolTable::words(words), SymbolTable::words(characters, 3), SymbolTable::words(shapes, 5),
            SymbolTable::labels(tags), 1 + frequent};
  }
  static void encode(Sentence& s, const Symbols& symbols) {
    constexpr std::size_t longest = 40;  // characters of a word that are read
    s.words.clear(), s.shapes.clear(), s.targets.clear(), s.characters.clear();
    for (const std::string& token : s.tokens) {
      s.words.push_back(symbols.words.id(normal_form(token)));
      s.shapes.push_back(symbols.shapes.id(shape_of(token)));
      s.characters.emplace_back();
      for (const auto c : split_characters(token))
        if (s.characters.back().size() < longest) s.characters.back().push_back(symbols.characters.id(c));
    }
    // A tag that was not there to be learnt has no id: it is validated on, never trained.
    for (const std::string& tag : to_bioes(s.tags)) s.targets.push_back(symbols.tags.find(tag).value_or(-1));
  }

  /// The tags of each sentence in BIO.
  static std::vector<std::vector<std::string>> predict(const Model& model, const Symbols& symbols,
                                                       std::span<const Sentence> sentences) {
    std::vector<std::vector<std::string>> tags(sentences.size());
    for_batches(sentences, 64, [&](Tape<>& tape, std::span<const Sentence* const> batch) {
      std::vector<Index> lengths;
      const Var<> scores = model.emissions(tape, batch, lengths);
      const auto paths = model.crf.viterbi(scores, lengths);
      for (std::size_t b = 0; b < batch.size(); ++b) {
        std::vector<std::string> names;
        for (const std::int32_t id : paths[b].labels) names.push_back(symbols.tags.name(id));
        tags[static_cast<std::size_t>(batch[b] - sentences.data())] = to_bio(names);
      }
    });
    return tags;
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
  static void synthesize(const std::string& path, Index count, Rng& rng);
};

/// People whom a title or a verb gives away, places behind a preposition, and companies that end in Ltd or Group; the
/// names are made of syllables, most of them new.
void Ner::synthesize(const std::string& path, Index count, Rng& rng) {
  std::ofstream out(path);
  require<FileError>(out.good(), "{} cannot be written", path);
  const auto one_of = [&](std::initializer_list<const char*> choices) {
    return std::string(choices.begin()[rng.below(static_cast<Index>(choices.size()))]);
  };
  const auto made_up = [&] {
    std::string word;
    for (Index n = 2 + rng.below(2); n > 0; --n)
      word += one_of({"b", "d", "k", "l", "m", "r", "s", "t", "v"}) + one_of({"a", "e", "i", "o", "u"});
    word[0] = static_cast<char>(word[0] - 'a' + 'A');
    return word;
  };
  const auto put = [&](const std::string& token, const std::string& tag) { out << token << "\t" << tag << "\n"; };
  const auto person = [&] {
    if (rng.below(2) == 0) put(one_of({"Dr", "Mrs", "Mr"}), "O");
    put(made_up(), "B-PER");
    if (rng.below(2) == 0) put(made_up(), "I-PER");
  };
  const auto company = [&] { put(made_up(), "B-ORG"), put(one_of({"Ltd", "Group"}), "I-ORG"); };
  for (Index i = 0; i < count; ++i) {
    rng.below(3) == 0 ? company() : person();
    put(one_of({"left", "reached", "praised"}), "O");
    if (rng.below(2) == 0) put(one_of({"Monday", "Everyone"}), "O");
    put(one_of({"near", "in"}), "O"), put(made_up(), "B-LOC");
    if (rng.below(3) == 0) put("with", "O"), person();
    put(".", "O");
    out << "\n";
  }
  require<FileError>(out.good(), "{} cannot be written", path);
}

}  // namespace

std::unique_ptr<Task> ner_task() { return std::make_unique<SupervisedTask<Ner>>(); }

}  // namespace unroll::inline UNROLL_ISA
