#include <algorithm>

#include <unroll/models/data/midi.h>
#include <unroll/models/metrics/likelihood.h>
#include <unroll/models/output_file.h>
#include <unroll/models/supervised_task.h>
#include <unroll/models/tasks/music_data.h>
#include <unroll/models/tasks/tasks.h>

namespace unroll::inline UNROLL_ISA {
namespace {

constexpr Index notes = highest_note - lowest_note + 1;
constexpr Index inputs = notes + 1;  // and whether it is the first step, before which nothing sounds

struct MusicOptions {
  FitOptions fit{.epochs = 160, .batch = 8, .rate = 5e-3, .clip = 1, .decay = 1e-2, .patience = 80, .shards = 1};
  std::string cell = "gru";
  Index hidden = 256, layers = 1, transpose = 5;
  double dropout = 0.2, zoneout = 0.05;
  static void fields(auto& o, auto&& f) {
    f("cell", o.cell, "cell of the recurrent layers");
    f("hidden", o.hidden, "width", range::width);
    f("layers", o.layers, "recurrent layers", range::depth);
    f("dropout", o.dropout, "share of features dropped while training", range::dropped);
    f("zoneout", o.zoneout, "share of the state that stays as it was, while training", range::share);
    f("transpose", o.transpose, "semitones by which pieces are moved up or down at most while training", Range{0, 127});
  }
};

/// How often each note sounds: what a model starts from.
struct MusicSymbols {
  std::vector<double> shares = std::vector<double>(notes, 0.5);
  nlohmann::json to_json() const { return {{"shares", shares}}; }
  static MusicSymbols from_json(const nlohmann::json& json) {
    MusicSymbols symbols{json.at("shares").get<std::vector<double>>()};
    symbols.shares.resize(notes, 0.5);
    return symbols;
  }
};

/// Each note of the next step by itself, from all steps before it.
struct MusicModel {
  using Cell = Zoneout<AnyCell<>>;
  using Layers = Stacked<Recurrent<Cell>>;

  Index transpose;
  double dropout_rate;
  Layers rnn;
  Linear<> head;

  MusicModel(const MusicOptions& o, const MusicSymbols& symbols, Rng& rng)
      : transpose(o.transpose), dropout_rate(o.dropout), rnn(layers(o, rng)), head(o.hidden, notes, rng) {
    Tensor<float>& bias = head.bias.edit();
    for (Index k = 0; k < notes; ++k) {
      const double share = symbols.shares[static_cast<std::size_t>(k)];
      bias(k) = static_cast<float>(std::log(share / (1 - share)));
    }
  }

  static Layers layers(const MusicOptions& o, Rng& rng) {
    std::vector<Recurrent<Cell>> all;
    for (Index i = 0; i < o.layers; ++i)
      all.emplace_back(AnyCell<>(i == 0 ? inputs : o.hidden, o.hidden, rng, o.cell), o.zoneout);
    return Layers(std::move(all), o.dropout);
  }

  /// Of every step [time, batch, notes], whose notes are put to `labels`; while training pieces are transposed.
  Var<> logits(Tape<>& tape, std::span<const Piece* const> pieces, std::vector<std::uint8_t>& labels) const {
    const Index longest = std::ranges::max(lengths_of(pieces)), batch = static_cast<Index>(pieces.size());
    Tensor<float> x = make_tensor<float>({longest, batch, inputs}, 0.0F);
    labels.assign(static_cast<std::size_t>(longest * batch * notes), 0);
    for (Index b = 0; b < batch; ++b) {
      const Piece& piece = *pieces[static_cast<std::size_t>(b)];
      const int shift = tape.training() ? piece.draw_shift(transpose, tape.rng()) : 0;
      x(0, b, notes) = 1;
      for (Index t = 0; t < piece.length(); ++t)
        for (const int note : piece.steps[static_cast<std::size_t>(t)]) {
          const Index k = note + shift - lowest_note;
          labels[static_cast<std::size_t>((t * batch + b) * notes + k)] = 1;
          if (t + 1 < piece.length()) x(t + 1, b, k) = 1;
        }
    }
    const Var<> hs = rnn(dropout(tape.constant(x), dropout_rate / 2), lengths_of(pieces));
    return head(dropout(hs, dropout_rate));
  }
  Var<> loss(Tape<>& tape, std::span<const Piece* const> pieces) const {
    std::vector<std::uint8_t> labels;
    const Var<> x = logits(tape, pieces, labels);
    return multi_label_cross_entropy(x, labels, lengths_of(pieces));
  }

  /// `steps` chords after those given. Each note is drawn with the probability sigmoid(logit / temperature).
  std::vector<Chord> generate(std::vector<Chord> piece, Index steps, double temperature, Rng& rng) const {
    Tape<> tape = Tape<>::inference();
    Layers::State state = rnn.initial(tape, 1);
    const std::size_t given = piece.size(), whole = given + static_cast<std::size_t>(steps);
    for (std::size_t t = 0; t < whole; ++t) {
      Tensor<float> x = make_tensor<float>({1, inputs}, 0.0F);
      if (t == 0) x(0, notes) = 1;
      if (t > 0)
        for (const int note : piece[t - 1]) x(0, note - lowest_note) = 1;
      state = rnn.step(tape.constant(x), state);
      if (t >= given) {
        const Var<> y = head(top_of<float>(state));
        Chord& chord = piece.emplace_back();
        for (Index k = 0; k < notes; ++k)
          if (rng.uniform() < 1 / (1 + std::exp(-static_cast<double>(values(y).row(0)[k]) / temperature)))
            chord.push_back(static_cast<int>(lowest_note + k));
      }
      state = tape.restart(state);
    }
    return piece;
  }
  static void fields(auto& m, auto&& f) { f("rnn", m.rnn), f("head", m.head); }
};

struct Music {
  using Options = MusicOptions;
  using Example = Piece;
  using Symbols = MusicSymbols;
  using Model = MusicModel;
  static constexpr const char *name = "music", *what = "the notes of the next step of a piece; run writes a MIDI file",
                              *format =
                                  "a piece a line, its steps parted by spaces: MIDI numbers from 21 to 108 joined "
                                  "by commas, - for silence";

  static std::vector<Piece> read(const std::vector<std::string>& files, const Options&, BadLines& bad) {
    return read_pieces(files, bad);
  }
  static Symbols learn(const std::vector<Piece>& pieces, const Options&) {
    std::vector<double> shares(notes, 0.5);
    double steps = 1;  // as if there had been one more, of which nothing is known
    for (const Piece& piece : pieces) {
      steps += static_cast<double>(piece.length());
      for (const Chord& chord : piece.steps)
        for (const int note : chord) shares[static_cast<std::size_t>(note - lowest_note)] += 1;
    }
    for (double& share : shares) share /= steps;
    return {shares};
  }
  static void encode(Piece&, const Symbols&) {}

  /// `nll` is the mean over the steps but the first of each piece, given all before (Bai, Kolter and Koltun 2018);
  /// `nll_all` counts the first, too, given nothing. Of what is likelier than not, `accuracy` is
  /// hits / (hits + wrong + missed) over all such steps (Bay, Ehmann and Downie 2009).
  static Validation evaluate(const Model& model, const Symbols&, std::span<const Piece> pieces) {
    Likelihood first, later;
    double hits = 0, others = 0;
    for_batches(pieces, 32, [&](Tape<>& tape, std::span<const Piece* const> batch) {
      const std::vector<Index> lengths = lengths_of(batch);
      std::vector<std::uint8_t> labels;
      const Var<> logits = model.logits(tape, batch, labels);
      const Var<> nats = multi_label_cross_entropy(logits, labels, lengths, {.reduction = Reduction::none});
      const auto rows = static_cast<Index>(batch.size());
      for (Index b = 0; b < rows; ++b)
        for (Index t = 0; t < lengths[static_cast<std::size_t>(b)]; ++t) {
          const Index row = t * rows + b;
          (t == 0 ? first : later).add(static_cast<double>(values(nats).data[row]));
          if (t == 0) continue;
          for (Index k = 0; k < notes; ++k) {
            const bool likely = values(logits).row(row)[k] > 0,
                       there = labels[static_cast<std::size_t>(row * notes + k)] != 0;
            hits += there && likely;
            others += there != likely;
          }
        }
    });
    const double nll = later.nats_per_token();
    first += later;
    return {-nll,
            {{"nll", nll}, {"nll_all", first.nats_per_token()}, {"accuracy", hits / std::max(1.0, hits + others)}}};
  }

  /// The input is a seed alone, or chords to begin with and what is asked: "60,64,67,72 steps=32 temperature=0.9".
  static std::string answer(const Model& model, const Symbols&, const std::string& input, const std::string& out) {
    const MusicRequest request(input);
    check_output("run", out);
    Rng rng{static_cast<std::uint64_t>(request.seed)};
    const auto piece = model.generate(request.first, static_cast<Index>(request.steps), request.temperature, rng);
    if (!out.empty()) write_midi(out, piece, {.steps_per_minute = request.tempo});
    return text_of(piece);
  }
  static void synthesize(const std::string& path, Index count, Rng& rng) { write_pieces(path, count, rng); }
};

}  // namespace

std::unique_ptr<Task> music_task() { return std::make_unique<SupervisedTask<Music>>(); }

}  // namespace unroll::inline UNROLL_ISA
