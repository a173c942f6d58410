#include <unroll/models/labels.h>
#include <unroll/models/tasks/sentiment_data.h>
#include <unroll/models/tasks/tasks.h>

namespace unroll::inline UNROLL_ISA {
namespace {

struct SentimentOptions {
  FitOptions fit{.epochs = 6, .batch = 32, .rate = 2e-3};
  std::string target = "auto", model = "sequence";
  std::string text = "Title,Review Text", stars = "Rating", recommended = "Recommended IND";
  Index embed = 128, hidden = 128, layers = 1, min_count = 2, phrases = 10;
  double dropout = 0.5, word_dropout = 0.1;
  bool ordinal = false;
  static void fields(auto& o, auto&& f) {
    f("target", o.target,
      "stars or recommended, of reviews; sentiment5 or sentiment2, of trees; auto: stars or sentiment5");
    f("model", o.model,
      "sequence: words from both sides; tree: phrases from their parts, and run reads trees then, not plain text");
    f("text", o.text, "columns of a review's text, separated by commas");
    f("stars", o.stars, "column of 1 to 5 stars");
    f("recommended", o.recommended, "column of 0 or 1");
    f("embed", o.embed, "width of a word", range::width);
    f("hidden", o.hidden, "width of each direction, or of a tree's nodes", range::width);
    f("layers", o.layers, "bidirectional layers", range::depth);
    f("min-count", o.min_count, "how often a word must be met to be known", range::count_or_none);
    f("phrases", o.phrases, "parts of each tree, drawn anew each time, from which a sequence model learns too",
      range::count_or_none);
    f("dropout", o.dropout, "share of features dropped while training", range::dropped);
    f("word-dropout", o.word_dropout, "share of words that are taken for unknown while training", range::share);
    f("ordinal", o.ordinal, "ordinal regression instead of a probability for each label");
  }
};

using Opinions = std::span<const Opinion* const>;

/// Bidirectional layers; attention, whose query is the maximum over time, beside that maximum.
struct SequenceEncoder {
  Stacked<Bidirectional<LSTM<>>> rnn;
  AdditiveAttention<> attention;

  SequenceEncoder(const SentimentOptions& o, Rng& rng)
      : rnn(o.embed, o.hidden, o.layers, rng, o.dropout), attention(2 * o.hidden, 2 * o.hidden, o.hidden, rng) {}
  Var<> operator()(Var<> xs, std::span<const Index> lengths) const {
    const Var<> hs = rnn(xs, lengths), most = max_over_time(hs, lengths);
    return concat(attention(attention.remember(hs, lengths), most).context, most);
  }
  static void fields(auto& m, auto&& f) { f("rnn", m.rnn), f("attention", m.attention); }
};

struct SentimentModel {
  double dropout_rate, word_dropout;
  Index phrases;
  std::int32_t unknown;
  Embedding<> embed;
  std::optional<SequenceEncoder> sequence;
  std::optional<NaryTreeLSTM<>> tree;
  Linear<> head;
  std::optional<OrdinalRegression<>> ordinal;

  SentimentModel(const SentimentOptions& o, const SentimentSymbols& symbols, Rng& rng)
      : dropout_rate(o.dropout),
        word_dropout(o.word_dropout),
        phrases(o.phrases),
        unknown(symbols.words.id(SymbolTable::unknown)),
        embed(symbols.words.size(), o.embed, rng),
        head((o.model == "tree" ? 1 : 4) * o.hidden, o.ordinal ? 1 : static_cast<Index>(symbols.labels().size()), rng) {
    if (o.model == "tree")
      tree.emplace(o.embed, o.hidden, 2, rng);
    else
      sequence.emplace(o, rng);
    if (o.ordinal) ordinal.emplace(static_cast<Index>(symbols.labels().size()));
  }

  /// The logarithms of the labels' probabilities, or what differs from them by the same for all.
  Var<> logits(Tape<>& tape, Opinions opinions) const {
    const Var<> y = tree ? scores(tape, trees_of(opinions)).roots : scores(tape, whole_passages(opinions));
    return ordinal ? as_var(log(ordinal->probabilities(reshape(y, {y.shape()[0]})))) : y;
  }
  Var<> loss(Tape<>& tape, Opinions opinions) const {
    if (tree) {  // whole sentences count as much as all their parts
      const OpinionTrees trees = trees_of(opinions);
      const TreeScores y = scores(tape, trees);
      return loss(y.nodes, trees.labels) + loss(y.roots, labels_of(whole_passages(opinions)));
    }
    std::vector<Passage> passages = whole_passages(opinions);
    for (const Opinion* o : opinions) draw_passages(*o, phrases, tape.rng(), passages);
    return loss(scores(tape, passages), labels_of(passages));
  }
  static void fields(auto& m, auto&& f) {
    f("embed", m.embed), f("sequence", m.sequence), f("tree", m.tree), f("head", m.head), f("ordinal", m.ordinal);
  }

 private:
  struct TreeScores {
    Var<> nodes, roots;
  };

  static std::vector<std::int32_t> labels_of(const std::vector<Passage>& passages) {
    std::vector<std::int32_t> labels;
    for (const Passage& passage : passages) labels.push_back(passage.label);
    return labels;
  }
  Var<> loss(Var<> y, std::vector<std::int32_t> labels) const {
    if (!ordinal) return cross_entropy(y, labels);
    for (std::int32_t& label : labels) label = label < 0 ? -1 : label + 1;
    return ordinal->loss(reshape(y, {y.shape()[0]}), labels);
  }
  std::int32_t seen(Tape<>& tape, std::int32_t id) const {
    return tape.training() && tape.rng().uniform() < word_dropout ? unknown : id;
  }
  Var<> scores(Tape<>& tape, const std::vector<Passage>& passages) const {
    std::vector<std::vector<std::int32_t>> rows;
    for (const Passage& passage : passages) {
      rows.emplace_back();
      for (const std::int32_t id : passage.ids) rows.back().push_back(seen(tape, id));
    }
    const Tokens tokens = Tokens::batch(rows);
    const Var<> xs = dropout(embed(tape, tokens), dropout_rate);
    return head(dropout((*sequence)(xs, tokens.lengths), dropout_rate));
  }
  TreeScores scores(Tape<>& tape, const OpinionTrees& trees) const {
    std::vector<std::int32_t> ids;
    for (const std::int32_t id : trees.words) ids.push_back(id < 0 ? id : seen(tape, id));
    const Var<> xs = dropout(embed(tape, ids, {static_cast<Index>(ids.size())}), dropout_rate);
    const auto states = (*tree)(xs, Forest(trees.parents));
    return {head(dropout(states.nodes.h, dropout_rate)), head(dropout(states.roots.h, dropout_rate))};
  }
};

struct Sentiment {
  using Options = SentimentOptions;
  using Example = Opinion;
  using Symbols = SentimentSymbols;
  using Model = SentimentModel;
  static constexpr const char *name = "sentiment", *what = "what a text thinks of something",
                              *format =
                                  "reviews as CSV with a header (the columns are options), or labelled trees in "
                                  "brackets, one on each line: (3 (2 a) (4 (3 lovely) (2 film)))";

  static std::vector<Opinion> read(const std::vector<std::string>& files, const Options& o, BadLines& bad) {
    require<ValueError>(o.model == "sequence" || o.model == "tree", "train: --model {} is not sequence or tree",
                        o.model);
    std::vector<Opinion> all;
    for (const std::string& path : files) {
      const FileContent file = FileContent::read(path);
      const std::string target = sentiment_target(file, o.target, o.model == "tree");
      const auto opinions =
          target.starts_with("sentiment")
              ? read_opinion_trees(file, target, bad)
              : read_reviews(file, {o.text, target == "stars" ? o.stars : o.recommended}, target, bad);
      all.insert(all.end(), opinions.begin(), opinions.end());
    }
    return all;
  }
  static Symbols learn(const std::vector<Opinion>& opinions, const Options& o) {
    return Symbols::learn(opinions, o.min_count);
  }
  static void encode(Opinion& opinion, const Symbols& symbols) { symbols.encode(opinion); }

  /// The majority is the accuracy of saying the most frequent label of the training data always.
  static Validation evaluate(const Model& model, const Symbols& symbols, std::span<const Opinion> opinions) {
    const auto labels = static_cast<Index>(symbols.labels().size());
    const ConfusionMatrix matrix = confusion(model, opinions, labels, &Opinion::label);
    const double accuracy = matrix.accuracy(), macro = matrix.macro().f1, total = static_cast<double>(matrix.total());
    Validation v{accuracy, {{"accuracy", accuracy}, {"macro_f1", macro}}};
    if (symbols.target == "recommended") {
      v.score = macro;
      v.fields.emplace_back("f1", matrix.of(1).f1());
    }
    if (symbols.target == "stars") {
      double off = 0;
      for (Index i = 0; i < labels; ++i)
        for (Index k = 0; k < labels; ++k) off += static_cast<double>(std::abs(i - k) * matrix.count(i, k));
      v.fields.emplace_back("stars_off", off / total);
    }
    v.fields.emplace_back("majority", static_cast<double>(matrix.of(symbols.majority).actual) / total);
    return v;
  }
  static std::string answer(const Model& model, const Symbols& symbols, const std::string& input) {
    Opinion opinion;
    if (model.tree) try {
        opinion = parse_opinion_tree(input);
      } catch (const ValueError& error) {
        throw ValueError(fmt::format("sentiment: this model reads trees, such as (3 (2 a) (4 (3 lovely) (2 film))): {}",
                                     error.what()));
      }
    else
      opinion.words = opinion_words(input);
    require<ValueError>(!opinion.words.empty(), "sentiment: there is no word in '{}'", input);
    opinion.target = symbols.target;
    encode(opinion, symbols);
    const auto [label, probability] = likeliest_class(model, opinion);
    return fmt::format("{} {:.3f}", symbols.labels()[static_cast<std::size_t>(label)], probability);
  }
  static constexpr std::array forms{"trees", "reviews"};
  static void synthesize(const std::string& path, const std::string& form, Index count, Rng& rng) {
    write_opinions(path, form, count, rng);
  }
};

}  // namespace

std::unique_ptr<Task> sentiment_task() { return std::make_unique<SupervisedTask<Sentiment>>(); }

}  // namespace unroll::inline UNROLL_ISA
