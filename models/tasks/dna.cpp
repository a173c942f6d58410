#include <unroll/models/labels.h>
#include <unroll/models/tasks/dna_data.h>
#include <unroll/models/tasks/tasks.h>

namespace unroll::inline UNROLL_ISA {
namespace {

struct DnaOptions {
  FitOptions fit{.epochs = 20, .batch = 32, .rate = 2e-3, .decay = 1e-2};
  Index filters = 64, window = 9, hidden = 64;
  double dropout = 0.4, hide = 0.1;
  Index steps = 64, context = 64;
  static void fields(auto& o, auto&& f) {
    f("filters", o.filters, "filters of the convolution", range::width);
    f("window", o.window, "nucleotides that a filter sees, an odd number", range::width);
    f("hidden", o.hidden, "width of the recurrent layer, of each direction", range::width);
    f("dropout", o.dropout, "share of features dropped while training", range::dropped);
    f("hide", o.hide, "share of nucleotides made unknown while training", range::share);
    f("steps", o.steps, "of a genome: nucleotides predicted in one window", range::count);
    f("context", o.context, "of a genome: nucleotides read before them", range::count_or_none);
  }
};

struct DnaSymbols {
  SymbolTable labels;  // none: a genome
  MarkovModel markov;  // of a genome
  Index pool = 1;      // steps that become one before the recurrent layer

  bool of_genome() const { return labels.size() == 0; }
  nlohmann::json to_json() const { return {{"labels", labels.to_json()}, {"markov", markov.counts()}, {"pool", pool}}; }
  static DnaSymbols from_json(const nlohmann::json& json) {
    DnaSymbols s{SymbolTable::from_json(json.at("labels")), MarkovModel(), json.at("pool").get<Index>()};
    s.markov.set_counts(json.at("markov").get<std::vector<Index>>());
    return s;
  }
};

/// The class of a sequence: motifs by a convolution, a bidirectional layer, and of its outputs the mean, the maximum
/// and the one in the middle, where junctions are.
struct DnaClassifier {
  double dropout_rate, hide;
  Index pool;
  TimeConvolution<> convolution;
  Bidirectional<LSTM<>> rnn;
  Linear<> head;

  DnaClassifier(const DnaOptions& o, const DnaSymbols& symbols, Rng& rng)
      : dropout_rate(o.dropout),
        hide(o.hide),
        pool(symbols.pool),
        convolution(4, o.filters, o.window, rng, {.padding = Padding::centred}),
        rnn(o.filters, o.hidden, rng),
        head(6 * o.hidden, symbols.labels.size(), rng) {}

  Var<> logits(Tape<>& tape, std::span<const DnaExample* const> examples) const {
    std::vector<Index> lengths = lengths_of(examples);
    std::vector<std::string> sequences;
    for (const DnaExample* e : examples) sequences.push_back(seen(*e, tape));
    Var<> xs = relu(convolution(shares_of(tape, sequences), lengths));
    if (pool > 1) {
      xs = max_pool_over_time(xs, {.size = pool, .stride = pool}, lengths);
      lengths = strided_lengths(lengths, pool);
    }
    const Var<> hs = rnn(dropout(xs, dropout_rate / 2), lengths);
    const auto batch = static_cast<Index>(examples.size());
    std::vector<Index> middle;
    for (Index b = 0; b < batch; ++b) middle.push_back(lengths[static_cast<std::size_t>(b)] / 2 * batch + b);
    return head(dropout(concat(mean_over_time(hs, lengths), max_over_time(hs, lengths),
                               gather_rows(hs, middle, {batch, hs.shape().cols()})),
                        dropout_rate));
  }
  static void fields(auto& m, auto&& f) { f("convolution", m.convolution), f("rnn", m.rnn), f("head", m.head); }

 private:
  /// While training what is no promoter is made anew each time, and some nucleotides are hidden.
  std::string seen(const DnaExample& e, Tape<>& tape) const {
    if (!tape.training()) return e.sequence;
    std::string sequence = e.origin.empty() ? e.sequence : without_promoter(e.origin, tape.rng());
    for (char& c : sequence)
      if (tape.rng().uniform() < hide) c = 'N';
    return sequence;
  }
};

std::span<const GenomeWindow* const> windows_of(Tape<>& tape, std::span<const DnaExample* const> examples) {
  const auto windows = tape.room<const GenomeWindow*>(static_cast<Index>(examples.size()));
  std::copy(examples.begin(), examples.end(), windows.begin());
  return windows;
}

/// One of the two, as the data ask.
struct DnaModel {
  std::optional<DnaClassifier> classifier;
  std::optional<GenomeModel> genome;
  Index steps, context;

  DnaModel(const DnaOptions& o, const DnaSymbols& symbols, Rng& rng) : steps(o.steps), context(o.context) {
    if (symbols.of_genome())
      genome.emplace(GenomeShape{o.filters, o.window, o.hidden, o.dropout}, rng);
    else
      classifier.emplace(o, symbols, rng);
  }
  Var<> logits(Tape<>& tape, std::span<const DnaExample* const> examples) const {
    return classifier->logits(tape, examples);
  }
  Var<> loss(Tape<>& tape, std::span<const DnaExample* const> examples) const {
    if (genome) return genome->loss(tape, windows_of(tape, examples));
    return cross_entropy(logits(tape, examples), targets_of(examples), {.smoothing = 0.05});
  }
  Likelihood likelihood(std::span<const DnaExample> windows) const {
    Likelihood sum;
    for_batches(windows, 64, [&](Tape<>& tape, std::span<const DnaExample* const> batch) {
      genome->score(tape, windows_of(tape, batch), sum);
    });
    return sum;
  }
  static void fields(auto& m, auto&& f) { f("classifier", m.classifier), f("genome", m.genome); }
};

struct Dna {
  using Options = DnaOptions;
  using Example = DnaExample;
  using Symbols = DnaSymbols;
  using Model = DnaModel;
  static constexpr const char *name = "dna", *what = "the class of a sequence of nucleotides, or the next of a genome",
                              *format = "lines of class,name,sequence; promoters, one on each line; or FASTA";

  static std::vector<DnaExample> read(const std::vector<std::string>& files, const Options& o, BadLines& bad) {
    return read_dna(files, o.steps, o.context, bad);
  }
  /// Windows of a genome are held out at its end; else what has the same sequence stays together.
  static bool in_order(const std::vector<DnaExample>& examples) { return examples[0].of_genome(); }
  static std::string group(const DnaExample& e) { return e.origin.empty() ? e.sequence : e.origin; }

  static Symbols learn(const std::vector<DnaExample>& examples, const Options&) {
    Symbols symbols;
    SymbolCounts labels;
    Index longest = 0;
    for (const DnaExample& e : examples) {
      longest = std::max(longest, e.length());
      if (e.of_genome())
        symbols.markov.count(e);
      else
        ++labels[e.label];
    }
    require<ValueError>(labels.size() != 1, "dna: all sequences are of the class '{}'", labels.begin()->first);
    symbols.labels = SymbolTable::labels(labels);
    constexpr Index enough = 100;  // steps of the recurrent layer
    symbols.pool = (longest + enough - 1) / enough;
    return symbols;
  }
  static void encode(DnaExample& e, const Symbols& symbols) {
    require<ValueError>(e.of_genome() == symbols.of_genome(), "the model is of {}, the data are of {}",
                        symbols.of_genome() ? "a genome" : "classes", e.of_genome() ? "a genome" : "classes");
    if (!e.of_genome()) e.target = symbols.labels.id(e.label);
  }

  static Validation evaluate(const Model& model, const Symbols& symbols, std::span<const DnaExample> examples) {
    if (model.genome) {
      Likelihood markov;
      for (const DnaExample& e : examples) symbols.markov.score(e, markov);
      const double bits = model.likelihood(examples).bits_per_token();
      return {-bits, {{"bits_per_base", bits}, {"markov_bits_per_base", markov.bits_per_token()}}};
    }
    const ConfusionMatrix matrix = confusion(model, examples, symbols.labels.size());
    return {matrix.accuracy(),
            {{"error", 1 - matrix.accuracy()}, {"macro_f1", matrix.macro().f1}, {"matthews", matrix.matthews()}}};
  }
  /// The input is a sequence.
  static std::string answer(const Model& model, const Symbols& symbols, const std::string& input) {
    const std::string sequence = parsed_nucleotides(input);
    require<ValueError>(!sequence.empty(), "dna: there is no sequence");
    std::vector<DnaExample> examples;
    if (model.genome) {
      for (GenomeWindow& window : genome_windows(sequence, model.steps, model.context))
        examples.push_back({{std::move(window)}, "", ""});
      const Likelihood sum = model.likelihood(examples);
      require<ValueError>(sum.tokens() > 0, "dna: the sequence has no A, C, G or T");
      return fmt::format("{:.4f} bits per base", sum.bits_per_token());
    }
    const auto [label, probability] = likeliest_class(model, DnaExample{{sequence}, "?", ""});
    return fmt::format("{} {:.4f}", symbols.labels.name(label), probability);
  }
  static constexpr std::array forms{"junctions", "promoters", "genome"};
  static void synthesize(const std::string& path, const std::string& form, Index count, Rng& rng) {
    write_dna(path, form, count, rng);
  }
};

}  // namespace

std::unique_ptr<Task> dna_task() { return std::make_unique<SupervisedTask<Dna>>(); }

}  // namespace unroll::inline UNROLL_ISA
