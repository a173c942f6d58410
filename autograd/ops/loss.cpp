#include <unroll/autograd/ops/loss.h>

#include <unroll/autograd/ops/line_sum.h>
#include <unroll/autograd/tensor/gemm.h>

namespace unroll::inline UNROLL_ISA::detail {
namespace {

/// How much each class of each row counts, and how a row of logits gives loss and gradient.
template <Real T>
struct Targets {
  std::span<const std::int32_t> ids;
  std::span<const T> weights;  // empty: all 1
  T smoothing;
  std::int32_t ignore;
  T weight_sum;  // of all classes
  T scale;       // 1 / sum of the weights of the counted rows, or 1
  bool each;     // the result is the loss of each row

  T weight(Index c) const { return weights.empty() ? T(1) : weights[static_cast<std::size_t>(c)]; }

  /// The unscaled loss of a row less `mass_of(row)` times its logsumexp. Never inlined, so that training and inference
  /// round alike.
  [[gnu::noinline]] T loss_without_lse(const T* x, Index classes, Index row) const {
    const std::int32_t id = ids[static_cast<std::size_t>(row)];
    T result = (1 - smoothing) * weight(id) * x[id];
    if (smoothing > 0) {
      T spread = 0;
      for (Index c = 0; c < classes; ++c) spread += weight(c) * x[c];
      result += smoothing / static_cast<T>(classes) * spread;
    }
    return -result;
  }
  T mass_of(Index classes, Index row) const {
    const std::int32_t id = ids[static_cast<std::size_t>(row)];
    return (1 - smoothing) * weight(id) + smoothing / static_cast<T>(classes) * weight_sum;
  }
  T loss(const T* x, Index classes, Index row, T lse) const {
    return std::fma(mass_of(classes, row), lse, loss_without_lse(x, classes, row));
  }
  /// Logits become d(loss)/d(logits) times `seed`, in place. Returns the unscaled loss.
  T differentiate(T* x, Index classes, Index row, T seed) const {
    const std::int32_t id = ids[static_cast<std::size_t>(row)];
    const T spread = smoothing / static_cast<T>(classes), mass = mass_of(classes, row);
    const T rest = loss_without_lse(x, classes, row), largest = simd::max(x, classes);
    const T total = sum_of_exponentials(x, classes, largest, x);
    const T scale = seed * mass / total;
    simd::map(x, x, classes, [=](auto v) { return decltype(v)(scale) * v; });
    x[id] -= seed * (1 - smoothing) * weight(id);
    if (smoothing > 0)
      for (Index c = 0; c < classes; ++c) x[c] -= seed * spread * weight(c);
    return std::fma(mass, largest + std::log(total), rest);
  }
  bool counts(Index row) const { return ids[static_cast<std::size_t>(row)] != ignore; }
  /// The gradient of the loss of a row, less the scale, from that of the result.
  T seed(const T* dy, Index row) const { return each ? dy[row] : *dy; }
};

/// Where the losses of rows go: into one result, or each into its own.
template <Real T>
struct Losses {
  const Targets<T>& targets;
  T* y;
  double total = 0;

  void add(Index row, T loss) {
    if (targets.each) y[row] = loss;
    total += static_cast<double>(loss);
  }
  void finish() const {
    if (!targets.each) *y = static_cast<T>(total * static_cast<double>(targets.scale));
  }
};

template <Real T>
Targets<T> check_targets(Tape<T>& tape, Index rows, Index classes, std::span<const std::int32_t> targets,
                         const CrossEntropyOptions& options, const Shape& shape) {
  tape.template require<ShapeError>(rows == static_cast<Index>(targets.size()),
                                    "cross_entropy: {} targets for logits {}", targets.size(), shape);
  tape.template require<ShapeError>(options.weights.empty() || static_cast<Index>(options.weights.size()) == classes,
                                    "cross_entropy: {} weights for {} classes", options.weights.size(), classes);
  tape.template require<ValueError>(options.smoothing >= 0 && options.smoothing <= 1,
                                    "cross_entropy: the smoothing {} is not in 0 .. 1", options.smoothing);
  const std::span<T> weights = tape.template room<T>(static_cast<Index>(options.weights.size()));
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<T>(options.weights[i]);
  Targets<T> result{tape.keep(targets),      weights, static_cast<T>(options.smoothing),   options.ignore,
                    static_cast<T>(classes), T(1),    options.reduction == Reduction::none};
  if (!weights.empty()) result.weight_sum = simd::sum(weights.data(), classes);
  double total = 0;
  bool any = false;
  for (std::size_t r = 0; r < targets.size(); ++r) {
    if (targets[r] == options.ignore) continue;
    tape.template require<IndexError>(targets[r] >= 0 && targets[r] < classes,
                                      "cross_entropy: class {} of row {} is outside 0 .. {}", targets[r], r,
                                      classes - 1);
    total += static_cast<double>(result.weight(targets[r]));
    any = true;
  }
  if (options.reduction == Reduction::mean) {
    tape.template require<ValueError>(any, "cross_entropy: there is no target to average over");
    tape.template require<ValueError>(total > 0, "cross_entropy: the weights of all targets are zero");
    result.scale = static_cast<T>(1 / total);
  }
  return result;
}

template <Real T>
struct CrossEntropy {
  static constexpr const char* name = "cross_entropy";
  Var<T> logits;
  Targets<T> targets;

  void forward(Var<T> y) const {
    const View<const T> x = values(logits);
    Losses<T> losses{targets, result(y).data};
    for (Index r = 0; r < x.rows; ++r)
      losses.add(
          r, targets.counts(r) ? targets.loss(x.row(r), x.cols, r, line_sum<T>(x.row(r), x.cols).logsumexp()) : T(0));
    losses.finish();
  }
  void backward(Var<T> y) const {
    const T* const dy = gradient(y).data;
    const View<const T> x = values(logits);
    const auto [d, fresh] = y.tape().claim_gradient(logits.index());
    const auto row = y.tape().template scratch<T>(x.cols);
    for (Index r = 0; r < x.rows; ++r) {
      if (!targets.counts(r)) {
        if (fresh) std::fill_n(d.row(r), d.cols, T(0));
        continue;
      }
      T* const to = fresh ? d.row(r) : row.data();
      std::copy_n(x.row(r), x.cols, to);
      targets.differentiate(to, x.cols, r, targets.seed(dy, r) * targets.scale);
      if (!fresh) simd::add_scaled(T(1), to, d.row(r), d.cols);
    }
  }
};

template <Real T>
struct LinearCrossEntropy {
  static constexpr const char* name = "linear_cross_entropy";
  Var<T> h, weight, bias;
  Trans across;  // of the weight
  Targets<T> targets;
  std::span<T> kept;  // d(loss)/d(logits) of all rows; empty: backward computes the logits again

  /// Rows whose logits are made together: as many as stay in the cache until they are read, or enough to pay for
  /// packing the weight.
  static Index tile_of(Index classes) {
    const Index cached = (Index{1} << 18) / std::max(classes, Index{1});
    return cached >= 128 ? std::min(cached, Index{512}) : std::clamp((Index{1} << 22) / classes, Index{64}, Index{512});
  }

  Index classes() const { return bias.shape().size(); }
  /// Logits of rows first .. last into scratch memory.
  View<T> logits(std::span<T> memory, Index first, Index last) const {
    const View<T> x{memory.data(), last - first, classes(), classes()};
    gemm<T>(Trans::no, values(h).rows_between(first, last), across, values(weight), x, false, values(bias).data);
    return x;
  }
  /// Logits of a row become their gradient; returns the loss of the row.
  T differentiate(T* x, Index classes, Index row, T seed) const {
    if (!targets.counts(row)) {
      std::fill_n(x, classes, T(0));
      return 0;
    }
    return targets.differentiate(x, classes, row, seed);
  }
  void forward(Var<T> y) const {
    const Index rows = values(h).rows, classes = this->classes(), tile = tile_of(classes);
    const std::span<T> scratch = kept.empty() ? y.tape().template scratch<T>(tile * classes) : std::span<T>();
    Losses<T> losses{targets, result(y).data};
    for (Index first = 0; first < rows; first += tile) {
      const std::span<T> memory = kept.empty() ? scratch : kept.subspan(static_cast<std::size_t>(first * classes));
      const View<T> x = logits(memory, first, std::min(rows, first + tile));
      for (Index r = 0; r < x.rows; ++r)
        if (!kept.empty())
          losses.add(first + r, differentiate(x.row(r), classes, first + r, targets.scale));
        else
          losses.add(first + r, targets.counts(first + r) ? targets.loss(x.row(r), classes, first + r,
                                                                         line_sum<T>(x.row(r), classes).logsumexp())
                                                          : T(0));
    }
    losses.finish();
  }
  void backward(Var<T> y) const {
    Tape<T>& tape = y.tape();
    const T* const dy = gradient(y).data;
    const View<const T> hs = values(h);
    const Index classes = this->classes(), tile = tile_of(classes);
    const auto [dh, fresh] =
        wanted(h) ? tape.claim_gradient(h.index(), {weight.index(), bias.index()}) : std::pair<View<T>, bool>();
    const bool as_kept = !kept.empty() && !targets.each && *dy == T(1);
    const std::span<T> scratch = as_kept ? std::span<T>() : tape.template scratch<T>(tile * classes);
    for (Index first = 0; first < hs.rows; first += tile) {
      const Index last = std::min(hs.rows, first + tile);
      View<T> d{as_kept ? kept.data() + first * classes : scratch.data(), last - first, classes, classes};
      if (kept.empty()) {
        d = logits(scratch, first, last);
        for (Index r = 0; r < d.rows; ++r)
          differentiate(d.row(r), d.cols, first + r, targets.seed(dy, first + r) * targets.scale);
      } else if (!as_kept) {
        for (Index r = 0; r < d.rows; ++r)
          simd::map(kept.data() + (first + r) * classes, d.row(r), d.cols,
                    [seed = targets.seed(dy, first + r)](auto v) { return decltype(v)(seed) * v; });
      }
      if (dh.data != nullptr)
        gemm<T>(Trans::no, d, across == Trans::yes ? Trans::no : Trans::yes, values(weight),
                dh.rows_between(first, last), !fresh);
      spread(tape, d, first);
    }
  }
  /// What the gradients d of the logits of rows `first` and on mean for weight and bias.
  void spread(Tape<T>& tape, View<const T> d, Index first) const {
    if (wanted(weight)) {
      const auto [dw, fresh] = tape.claim_gradient(weight.index());
      const View<const T> x = values(h).rows_between(first, first + d.rows);
      gemm<T>(Trans::yes, across == Trans::yes ? d : x, Trans::no, across == Trans::yes ? x : d, dw, !fresh);
    }
    if (wanted(bias)) {
      T* const db = gradient(bias).data;
      for (Index r = 0; r < d.rows; ++r) simd::add_scaled(T(1), d.row(r), db, d.cols);
    }
  }
};

/// Up to so many bytes the gradients of logits are kept, which saves a third product; above, they are computed again.
constexpr Index most_kept_bytes = Index{1} << 26;

}  // namespace

template <Real T>
Var<T> cross_entropy(Var<T> logits, std::span<const std::int32_t> targets, const CrossEntropyOptions& options) {
  Tape<T>& tape = logits.tape();
  const Shape shape = tape.checked(logits, "cross_entropy").shape;
  tape.template require<ShapeError>(shape.rank() >= 1, "cross_entropy: logits [..., classes] are needed, not {}",
                                    shape);
  const Targets<T> checked = check_targets<T>(tape, shape.rows(), shape.cols(), targets, options, shape);
  const Shape made = checked.each ? shape.without(-1) : Shape{};
  return record(made, CrossEntropy<T>{logits, checked}, logits);
}

template <Real T>
Var<T> linear_cross_entropy(Var<T> h, Var<T> weight, Var<T> bias, std::span<const std::int32_t> targets,
                            const CrossEntropyOptions& options, Transposed transposed) {
  Tape<T>& tape = h.tape();
  const Shape sh = tape.checked(h, "linear_cross_entropy").shape;
  const Shape sw = tape.checked(weight, "linear_cross_entropy").shape;
  const Shape sb = tape.checked(bias, "linear_cross_entropy").shape;
  const int in = transposed.b ? 1 : 0, out = 1 - in;
  tape.template require<ShapeError>(sw.rank() == 2 && sh.rank() >= 1 && sh.cols() == sw[in] && sb == Shape{sw[out]},
                                    "linear_cross_entropy: shapes do not fit: {} x {}{} + {}", sh, sw,
                                    transposed.b ? "^T" : "", sb);
  tape.template require<ValueError>(!transposed.a, "linear_cross_entropy: its rows cannot be transposed");
  const Index classes = sw[out];
  const Targets<T> checked = check_targets<T>(tape, sh.rows(), classes, targets, options, sh.with(-1, classes));
  std::span<T> kept;
  if (tape.training() && sh.rows() <= most_kept_bytes / static_cast<Index>(sizeof(T)) / std::max(classes, Index{1}))
    kept = tape.template room<T>(sh.rows() * classes);
  const Shape made = checked.each ? sh.without(-1) : Shape{};
  const Trans across = transposed.b ? Trans::yes : Trans::no;
  return record(made, LinearCrossEntropy<T>{h, weight, contiguous(bias), across, checked, kept}, h, weight, bias);
}

template Var<float> cross_entropy(Var<float>, std::span<const std::int32_t>, const CrossEntropyOptions&);
template Var<double> cross_entropy(Var<double>, std::span<const std::int32_t>, const CrossEntropyOptions&);
template Var<float> linear_cross_entropy(Var<float>, Var<float>, Var<float>, std::span<const std::int32_t>,
                                         const CrossEntropyOptions&, Transposed);
template Var<double> linear_cross_entropy(Var<double>, Var<double>, Var<double>, std::span<const std::int32_t>,
                                          const CrossEntropyOptions&, Transposed);

}  // namespace unroll::inline UNROLL_ISA::detail
