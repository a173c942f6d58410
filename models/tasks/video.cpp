#include <unroll/models/labels.h>
#include <unroll/models/tasks/tasks.h>
#include <unroll/models/tasks/video_data.h>

namespace unroll::inline UNROLL_ISA {
namespace {

constexpr Index coordinates = Clip::coordinates;

struct VideoOptions {
  FitOptions fit{.epochs = 60, .batch = 16, .rate = 2e-3, .decay = 1e-2, .patience = 30};
  Index hidden = 64, layers = 2;
  double dropout = 0.4;
  double jitter = 0.02;  // of joints, while training
  static void fields(auto& o, auto&& f) {
    f("hidden", o.hidden, "width of each direction", range::width);
    f("layers", o.layers, "bidirectional layers", range::depth);
    f("dropout", o.dropout, "share of features dropped while training", range::dropped);
    f("jitter", o.jitter, "standard deviation by which joints are moved while training", Range{0, 100});
  }
};

/// Positions and velocities, bidirectional layers, mean and maximum over time.
struct VideoModel {
  double dropout_rate, jitter;
  Stacked<Bidirectional<GRU<>>> rnn;
  Linear<> head;

  VideoModel(const VideoOptions& o, const LabelSymbols& symbols, Rng& rng)
      : dropout_rate(o.dropout),
        jitter(o.jitter),
        rnn(2 * coordinates, o.hidden, o.layers, rng, o.dropout),
        head(4 * o.hidden, symbols.labels.size(), rng) {}

  Var<> logits(Tape<>& tape, std::span<const Clip* const> clips) const {
    const std::vector<Index> lengths = lengths_of(clips);
    const Var<> hs = rnn(dropout(features(tape, clips, lengths), dropout_rate / 2), lengths);
    return head(dropout(concat(mean_over_time(hs, lengths), max_over_time(hs, lengths)), dropout_rate));
  }
  Var<> loss(Tape<>& tape, std::span<const Clip* const> clips) const {
    return cross_entropy(logits(tape, clips), targets_of(clips), {.smoothing = 0.1});
  }
  static void fields(auto& m, auto&& f) { f("rnn", m.rnn), f("head", m.head); }

 private:
  /// [time, batch, positions and ten times the velocities]. While training clips are mirrored, scaled and jittered at
  /// random: an activity stays what it is.
  Var<> features(Tape<>& tape, std::span<const Clip* const> clips, std::span<const Index> lengths) const {
    const auto batch = static_cast<Index>(clips.size());
    Tensor<float> x = make_tensor<float>({std::ranges::max(lengths), batch, 2 * coordinates}, 0.0F);
    Rng& rng = tape.rng();
    for (Index b = 0; b < batch; ++b) {
      const std::vector<float>& poses = clips[static_cast<std::size_t>(b)]->poses;
      const bool mirrored = tape.training() && rng.uniform() < 0.5;
      const double scale = tape.training() ? rng.uniform(0.85, 1.15) : 1;
      for (Index t = 0; t < lengths[static_cast<std::size_t>(b)]; ++t)
        for (Index k = 0; k < coordinates; ++k) {
          double v = scale * static_cast<double>(poses[static_cast<std::size_t>(t * coordinates + k)]);
          if (mirrored && k % 2 == 0) v = -v;
          if (tape.training()) v += jitter * rng.normal();
          x(t, b, k) = static_cast<float>(v);
          if (t > 0) x(t, b, coordinates + k) = 10 * (x(t, b, k) - x(t - 1, b, k));
        }
    }
    return tape.constant(x);
  }
};

struct Video {
  using Options = VideoOptions;
  using Example = Clip;
  using Symbols = LabelSymbols;
  using Model = VideoModel;
  static constexpr const char *name = "video", *what = "the activity in a clip, from the positions of joints",
                              *format = "CSV with a header: clip, label, frame, x and y of 15 joints";

  static std::vector<Clip> read(const std::vector<std::string>& files, const Options&, BadLines& bad) {
    return read_clips(files, bad);
  }
  static Symbols learn(const std::vector<Clip>& clips, const Options&) { return Symbols::of(clips); }
  static void encode(Clip& clip, const Symbols& symbols) { clip.target = symbols.labels.id(clip.label); }

  static Validation evaluate(const Model& model, const Symbols& symbols, std::span<const Clip> clips) {
    const ConfusionMatrix matrix = confusion(model, clips, symbols.labels.size());
    return {matrix.accuracy(), {{"accuracy", matrix.accuracy()}, {"macro_f1", matrix.macro().f1}}};
  }
  /// The input is the name of a file of clips.
  static std::string answer(const Model& model, const Symbols& symbols, const std::string& input) {
    BadLines bad;
    const std::vector<Clip> clips = read_clips({input}, bad);
    const auto classes = likeliest_classes<Clip>(model, clips);
    std::string text;
    for (std::size_t i = 0; i < clips.size(); ++i)
      text += fmt::format("{}{} {}", i == 0 ? "" : "\n", clips[i].name, symbols.labels.name(classes[i]));
    return text;
  }
  static void synthesize(const std::string& path, Index count, Rng& rng) { write_clips(path, count, rng); }
};

}  // namespace

std::unique_ptr<Task> video_task() { return std::make_unique<SupervisedTask<Video>>(); }

}  // namespace unroll::inline UNROLL_ISA
