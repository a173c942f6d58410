#include <fmt/ranges.h>

#include <unroll/models/any_layers.h>
#include <unroll/models/labels.h>
#include <unroll/models/tasks/pixels_data.h>
#include <unroll/models/tasks/tasks.h>

namespace unroll::inline UNROLL_ISA {
namespace {

struct PixelsOptions {
  FitOptions fit{.epochs = 12, .batch = 64, .rate = 3e-3, .decay = 1e-2};
  std::string order = "rows", cell = "lstm";
  Index hidden = 128, layers = 1;
  std::string wrapper = "bidirectional";
  double wrapper_rate = 0.1;
  double dropout = 0.2;
  Index shift = 2;
  static void fields(auto& o, auto&& f) {
    f("order", o.order, "rows: a row is a step; pixels: a pixel is one; permuted: pixels in a fixed random order");
    f("cell", o.cell, "recurrent cell");
    f("hidden", o.hidden, "width of a layer, or of each direction", range::width);
    f("layers", o.layers, "recurrent layers", range::depth);
    f("wrapper", o.wrapper, wrapper_help());
    f("wrapper-rate", o.wrapper_rate, "share that a wrapper drops or keeps, if it does", range::dropped);
    f("dropout", o.dropout, "share of features dropped between layers and before the last, while training",
      range::dropped);
    f("shift", o.shift, "pixels by which images are moved at most while training", Range{0, 1000});
  }
};

struct PixelsSymbols {
  Index rows = 0, columns = 0, classes = 0;
  nlohmann::json to_json() const { return {{"rows", rows}, {"columns", columns}, {"classes", classes}}; }
  static PixelsSymbols from_json(const nlohmann::json& json) {
    return {json.at("rows"), json.at("columns"), json.at("classes")};
  }
};

/// Recurrent layers over the image, mean and maximum over time.
struct PixelsModel {
  double dropout_rate;
  Index shift, columns, width;
  std::vector<Index> order;  // of pixels
  AnyLayers rnn;
  Linear<> head;

  PixelsModel(const PixelsOptions& o, const PixelsSymbols& s, Rng& rng)
      : dropout_rate(o.dropout),
        shift(o.shift),
        columns(s.columns),
        width(o.order == "rows" ? s.columns : 1),
        order(order_of(o.order, s.rows * s.columns)),
        rnn({.in = width,
             .width = o.hidden,
             .count = o.layers,
             .cell = o.cell,
             .wrapper = o.wrapper,
             .dropout = o.dropout,
             .wrapper_rate = o.wrapper_rate},
            rng),
        head(2 * rnn.width(), s.classes, rng) {}

  Var<> logits(Tape<>& tape, std::span<const Image* const> images) const {
    const Var<> xs = features(tape, images);
    const Var<> hs = rnn(xs);
    return head(dropout(concat(mean_over_time(hs, {}), max_over_time(hs, {})), dropout_rate));
  }
  Var<> loss(Tape<>& tape, std::span<const Image* const> images) const {
    return cross_entropy(logits(tape, images), targets_of(images));
  }
  static void fields(auto& m, auto&& f) { f("rnn", m.rnn), f("head", m.head); }

 private:
  /// Which pixel comes when. The permutation is the same for all models.
  static std::vector<Index> order_of(const std::string& name, Index count) {
    require<ValueError>(name == "rows" || name == "pixels" || name == "permuted",
                        "train: --order '{}' is not rows, pixels or permuted", name);
    std::vector<Index> order(static_cast<std::size_t>(count));
    std::iota(order.begin(), order.end(), Index{0});
    Rng rng{784};
    if (name == "permuted") shuffle(order, rng);
    return order;
  }

  /// [time, batch, width], of mean about 0 and deviation about 1. While training images are moved at random.
  Var<> features(Tape<>& tape, std::span<const Image* const> images) const {
    const auto count = static_cast<Index>(order.size()), batch = static_cast<Index>(images.size());
    constexpr float mean = 0.13F, deviation = 0.31F;  // of MNIST
    Tensor<float> x = make_tensor<float>({count / width, batch, width}, -mean / deviation);
    Rng& rng = tape.rng();
    for (Index b = 0; b < batch; ++b) {
      const Image& image = *images[static_cast<std::size_t>(b)];
      const Index down = tape.training() ? rng.below(2 * shift + 1) - shift : 0;
      const Index right = tape.training() ? rng.below(2 * shift + 1) - shift : 0;
      for (Index i = 0; i < count; ++i) {
        const Index pixel = order[static_cast<std::size_t>(i)];
        const Index row = pixel / columns - down, column = pixel % columns - right;
        if (row < 0 || row >= image.rows || column < 0 || column >= columns) continue;
        const auto value = static_cast<float>(image.pixels[static_cast<std::size_t>(row * columns + column)]) / 255;
        x(i / width, b, i % width) = (value - mean) / deviation;
      }
    }
    return tape.constant(x);
  }
};

struct Pixels {
  using Options = PixelsOptions;
  using Example = Image;
  using Symbols = PixelsSymbols;
  using Model = PixelsModel;
  static constexpr const char *name = "pixels", *what = "what an image shows, such as a digit, read as a sequence",
                              *format = "IDX files as those of MNIST: images, their labels (or else IMAGES.labels)";

  static std::vector<Image> read(const std::vector<std::string>& files, const Options&, BadLines& bad) {
    require<ValueError>(!bad.skips(), "--skip-bad has no use: images have no lines that could be left out");
    return read_labelled_images(files);
  }
  /// The labels of the last file, if no file of them follows it.
  static std::vector<std::string> beside(const std::vector<std::string>& files) {
    return files.size() % 2 == 0 ? std::vector<std::string>() : std::vector{labels_beside(files.back())};
  }
  /// Of the 60,000 images for training of MNIST the last 10,000, as is usual.
  static std::vector<Image> hold_out(std::vector<Image>& images, const Options&) {
    std::vector<Image> last;
    if (images.size() != 60000) return last;
    last.assign(std::make_move_iterator(images.end() - 10000), std::make_move_iterator(images.end()));
    images.resize(50000);
    return last;
  }
  static Symbols learn(const std::vector<Image>& images, const Options&) {
    Symbols s{images[0].rows, images[0].columns, 0};
    for (const Image& image : images) s.classes = std::max<Index>(s.classes, image.target + 1);
    return s;
  }
  static void encode(Image& image, const Symbols& s) {
    require<ValueError>(image.rows == s.rows && image.columns == s.columns,
                        "{} x {} pixels, where {} x {} are expected", image.rows, image.columns, s.rows, s.columns);
    require<IndexError>(image.target < s.classes, "the label {} is not among the {} that were trained", image.target,
                        s.classes);
  }

  static Validation evaluate(const Model& model, const Symbols& symbols, std::span<const Image> images) {
    const ConfusionMatrix matrix = confusion(model, images, symbols.classes);
    return {matrix.accuracy(), {{"accuracy", matrix.accuracy()}, {"macro_f1", matrix.macro().f1}}};
  }
  /// The input is the name of a file of images.
  static std::string answer(const Model& model, const Symbols& symbols, const std::string& input) {
    std::vector<Image> images = read_images(input);
    BadLines bad;
    encode_all<Pixels>(images, symbols, bad);
    return fmt::format("{}", fmt::join(likeliest_classes<Image>(model, std::span<const Image>(images)), "\n"));
  }
  static void synthesize(const std::string& path, Index count, Rng& rng) { write_strokes(path, count, rng); }
};

}  // namespace

std::unique_ptr<Task> pixels_task() { return std::make_unique<SupervisedTask<Pixels>>(); }

}  // namespace unroll::inline UNROLL_ISA
