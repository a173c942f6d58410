#include <unroll/autograd/ops/loss.h>

#include <unroll/autograd/ops/line_sum.h>
#include <unroll/autograd/tensor/gemm.h>

namespace unroll::inline UNROLL_ISA::detail {
namespace {

/// How much each class of each row counts, and how logits give loss and gradient.
template <Real T>
struct Targets {
  std::span<const std::int32_t> ids;
  std::span<const T> weights;  // empty: all 1
  T smoothing;
  std::int32_t ignore;
  T classes, weight_sum;  // how many there are, and the sum of their weights
  T scale;                // 1 / sum of the weights of the counted rows, or 1
  bool each;              // the result is the loss of each row

  T weight(Index c) const { return weights.empty() ? T(1) : weights[static_cast<std::size_t>(c)]; }

  /// The share of the unscaled loss of a row that the logits x of classes first .. first + count have in it without
  /// the logarithm of the sum: the loss is the sum of all, and `mass_of(row)` times the row's logsumexp. Never inlined,
  /// so that training and inference round alike.
  [[gnu::noinline]] T loss_without_lse(const T* x, Index first, Index count, Index row) const {
    const Index id = ids[static_cast<std::size_t>(row)] - first;
    T result = id >= 0 && id < count ? (1 - smoothing) * weight(first + id) * x[id] : T(0);
    if (smoothing > 0) {
      T spread = 0;
      for (Index c = 0; c < count; ++c) spread += weight(first + c) * x[c];
      result += smoothing / classes * spread;
    }
    return -result;
  }
  T mass_of(Index row) const {
    const std::int32_t id = ids[static_cast<std::size_t>(row)];
    return (1 - smoothing) * weight(id) + smoothing / classes * weight_sum;
  }
  /// The gradient of the logits of classes first .. first + count from their probabilities, which are e times `share`;
  /// `seed`: the gradient of the unscaled loss. d may be e.
  void differentiate(const T* e, T* d, Index first, Index count, Index row, T seed, T share) const {
    simd::map(e, d, count, [scale = seed * mass_of(row) * share](auto v) { return decltype(v)(scale) * v; });
    const Index id = ids[static_cast<std::size_t>(row)] - first;
    if (id >= 0 && id < count) d[id] -= seed * (1 - smoothing) * weight(first + id);
    if (smoothing > 0)
      for (Index c = 0; c < count; ++c) d[c] -= seed * smoothing / classes * weight(first + c);
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
  const auto all = static_cast<T>(classes);
  Targets<T> result{tape.keep(targets),
                    weights,
                    static_cast<T>(options.smoothing),
                    options.ignore,
                    all,
                    all,
                    T(1),
                    options.reduction == Reduction::none};
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
      losses.add(r, targets.counts(r) ? std::fma(targets.mass_of(r), line_sum<T>(x.row(r), x.cols).logsumexp(),
                                                 targets.loss_without_lse(x.row(r), 0, x.cols, r))
                                      : T(0));
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
      const T largest = simd::max(x.row(r), x.cols), total = sum_of_exponentials(x.row(r), x.cols, largest, to);
      targets.differentiate(to, to, 0, x.cols, r, targets.seed(dy, r) * targets.scale, 1 / total);
      if (!fresh) simd::add_scaled(T(1), to, d.row(r), d.cols);
    }
  }
};

/// op(b) as the right operand of products: packed if several share it, until the next one is made in this thread.
template <Real T>
class Right {
 public:
  Right(Trans trans, View<const T> b, bool shared) : trans_(trans), b_(b), packed_(shared ? &memory() : nullptr) {
    if (shared) packed_->assign(trans, b);
  }
  void product(View<const T> left, View<T> to, bool accumulate, const T* bias = nullptr) const {
    if (packed_ != nullptr)
      gemm<T>(Trans::no, left, *packed_, to, accumulate, bias);
    else
      gemm<T>(Trans::no, left, trans_, b_, to, accumulate, bias);
  }

 private:
  static Packed<T>& memory() {
    static thread_local Packed<T> result;
    return result;
  }
  Trans trans_;
  View<const T> b_;
  Packed<T>* packed_;
};

/// What the blocks of logits that were seen so far say of each row.
template <Real T>
struct RowSums {
  View<T> largest;           // [block, row]: the largest logit up to this block
  std::span<T> total, rest;  // [row]: the sum of e^(logit - largest), and of Targets::loss_without_lse

  static Index size(Index rows, Index blocks) { return (blocks + 2) * rows; }
  RowSums(std::span<T> memory, Index rows, Index blocks)
      : largest{memory.data(), blocks, rows, rows},
        total(memory.subspan(static_cast<std::size_t>(blocks * rows), static_cast<std::size_t>(rows))),
        rest(memory.subspan(static_cast<std::size_t>((blocks + 1) * rows), static_cast<std::size_t>(rows))) {}
};

/// The logits are never there as a whole. They are made for a block of classes at a time, and become exponentials while
/// they are in the cache: relative to the largest logit of their row so far (Milakov and Gimelshein 2018).
template <Real T>
struct LinearCrossEntropy {
  static constexpr const char* name = "linear_cross_entropy";
  Var<T> h, weight, bias;
  Trans across;  // of the weight
  Targets<T> targets;
  std::span<T> sums;  // RowSums for backward; empty: there will be none
  std::span<T> kept;  // the exponentials, block by block; empty: backward computes them again

  /// Rows, and classes at most, that stay in the cache together. Where all rows do, the weight is read once.
  struct Extents {
    Index rows, classes;
  };
  static Extents at_once(Index rows) { return rows <= 1024 ? Extents{rows, 1024} : Extents{256, 512}; }
  static Index blocks_of(Index rows, Index classes) {
    const Index width = at_once(rows).classes;
    return (classes + width - 1) / width;
  }
  Index classes() const { return bias.shape().size(); }

  /// Rows and classes first .. first + count, of the block `index`.
  struct Block {
    Index index, first, count, row, rows;
  };
  /// f(right, block) for all blocks of classes and, in each, of rows, where `right` is the classes' part of the weight,
  /// transposed on request.
  template <class F>
  void for_blocks(Trans trans, F f) const {
    const View<const T> w = values(weight);
    const Index rows = values(h).rows, classes = this->classes();
    const Extents most = at_once(rows);
    for (Index b = 0, first = 0; first < classes; ++b, first += most.classes) {
      const Index count = std::min(most.classes, classes - first);
      const Right<T> right(trans, of_classes(w, first, count), rows > most.rows);
      for (Index r = 0; r < rows; r += most.rows) f(right, Block{b, first, count, r, std::min(most.rows, rows - r)});
    }
  }
  /// Elements of the largest block.
  Index block_size() const {
    const Extents most = at_once(values(h).rows);
    return most.rows * std::min(most.classes, classes());
  }

  template <class E>
  View<E> of_classes(View<E> w, Index first, Index count) const {
    return across == Trans::yes ? w.rows_between(first, first + count) : w.columns_between(first, first + count);
  }
  View<const T> of_rows(const Block& at) const { return values(h).rows_between(at.row, at.row + at.rows); }
  View<T> kept_of(const Block& at) const {
    const Index rows = values(h).rows;
    return {kept.data() + at.first * rows + at.row * at.count, at.rows, at.count, at.count};
  }

  void make_logits(const Right<T>& right, const Block& at, View<T> x) const {
    right.product(of_rows(at), x, false, values(bias).data + at.first);
  }
  /// n logits become e^(x - largest) in place; returns their sum. Of impossible ones all is 0; where the largest is
  /// infinite they are NaN and the sum is a number.
  static T exponentials(T* x, Index n, T largest) {
    if (std::isfinite(largest)) return sum_of_exponentials(x, n, largest, x);
    std::fill_n(x, n, largest < 0 ? T(0) : std::numeric_limits<T>::quiet_NaN());
    return std::isnan(largest) ? largest : largest < 0 ? T(0) : T(1);
  }
  /// Logits x of a row become exponentials in place.
  void exponentiate(T* x, const Block& at, Index row, const RowSums<T>& known) const {
    T& total = known.total[static_cast<std::size_t>(row)];
    const T before = at.index == 0 ? -std::numeric_limits<T>::infinity() : known.largest.row(at.index - 1)[row];
    const T here = simd::max(x, at.count), largest = before > here ? before : here;  // NaN if here is
    known.largest.row(at.index)[row] = largest;
    known.rest[static_cast<std::size_t>(row)] += targets.loss_without_lse(x, at.first, at.count, row);
    if (largest != before) total *= std::exp(before - largest);
    total += exponentials(x, at.count, largest);
  }
  void forward(Var<T> y) const {
    const Index rows = values(h).rows, blocks = blocks_of(rows, classes());
    const Index of_sums = sums.empty() ? RowSums<T>::size(rows, blocks) : 0, of_block = kept.empty() ? block_size() : 0;
    const std::span<T> scratch = y.tape().template scratch<T>(of_sums + of_block);
    const RowSums<T> known(sums.empty() ? scratch.last(static_cast<std::size_t>(of_sums)) : sums, rows, blocks);
    std::ranges::fill(known.total, T(0));
    std::ranges::fill(known.rest, T(0));
    for_blocks(across, [&](const Right<T>& right, const Block& at) {
      const View<T> x = kept.empty() ? View<T>{scratch.data(), at.rows, at.count, at.count} : kept_of(at);
      make_logits(right, at, x);
      for (Index r = 0; r < at.rows; ++r)
        if (targets.counts(at.row + r)) exponentiate(x.row(r), at, at.row + r, known);
    });
    Losses<T> losses{targets, result(y).data};
    for (Index r = 0; r < rows; ++r) {
      const auto i = static_cast<std::size_t>(r);
      losses.add(r, targets.counts(r)
                        ? std::fma(targets.mass_of(r), known.largest.row(blocks - 1)[r] + std::log(known.total[i]),
                                   known.rest[i])
                        : T(0));
    }
    losses.finish();
  }
  /// Into d the gradient of the logits of a row, from its exponentials e.
  void differentiate(const T* e, T* d, const Block& at, Index row, T seed, const RowSums<T>& known) const {
    const T here = known.largest.row(at.index)[row], largest = known.largest.row(known.largest.rows - 1)[row];
    const T share = std::exp(here - largest) / known.total[static_cast<std::size_t>(row)];
    targets.differentiate(e, d, at.first, at.count, row, seed * targets.scale, share);
  }
  void backward(Var<T> y) const {
    Tape<T>& tape = y.tape();
    const T* const dy = gradient(y).data;
    const Index rows = values(h).rows;
    if (rows == 0 || classes() == 0) return;
    const auto claim = [&](Var<T> v, Var<T> other) {
      return wanted(v) ? tape.claim_gradient(v.index(), {other.index(), bias.index()}) : std::pair<View<T>, bool>();
    };
    const auto [dh, fresh_h] = claim(h, weight);
    const auto [dw, fresh_w] = claim(weight, h);
    T* const db = wanted(bias) ? gradient(bias).data : nullptr;
    const RowSums<T> known(sums, rows, blocks_of(rows, classes()));
    const std::span<T> scratch = tape.template scratch<T>(block_size());
    for_blocks(across == Trans::yes ? Trans::no : Trans::yes, [&](const Right<T>& right, const Block& at) {
      const View<T> d{scratch.data(), at.rows, at.count, at.count};
      const View<T> e = kept.empty() ? d : kept_of(at);
      if (kept.empty()) make_logits(Right<T>(across, of_classes(values(weight), at.first, at.count), false), at, d);
      for (Index r = 0, row = at.row; r < at.rows; ++r, ++row) {
        if (!targets.counts(row)) {
          std::fill_n(d.row(r), at.count, T(0));
          continue;
        }
        if (kept.empty()) exponentials(d.row(r), at.count, known.largest.row(at.index)[row]);
        differentiate(e.row(r), d.row(r), at, row, targets.seed(dy, row), known);
        if (db != nullptr) simd::add_scaled(T(1), d.row(r), db + at.first, at.count);
      }
      if (dh.data != nullptr) right.product(d, dh.rows_between(at.row, at.row + at.rows), !fresh_h || at.index > 0);
      if (dw.data == nullptr) return;
      const View<const T> x = of_rows(at), dx = d;
      gemm<T>(Trans::yes, across == Trans::yes ? dx : x, Trans::no, across == Trans::yes ? x : dx,
              of_classes(dw, at.first, at.count), !fresh_w || at.row > 0);
    });
  }
};

/// Up to so many bytes the exponentials of logits are kept, which saves a third product; above, they are computed
/// again.
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
  std::span<T> sums, kept;
  if (tape.training())
    sums = tape.template room<T>(RowSums<T>::size(sh.rows(), LinearCrossEntropy<T>::blocks_of(sh.rows(), classes)));
  if (tape.training() && sh.rows() <= most_kept_bytes / static_cast<Index>(sizeof(T)) / std::max(classes, Index{1}))
    kept = tape.template room<T>(sh.rows() * classes);
  const Shape made = checked.each ? sh.without(-1) : Shape{};
  const Trans across = transposed.b ? Trans::yes : Trans::no;
  return record(made, LinearCrossEntropy<T>{h, weight, contiguous(bias), across, checked, sums, kept}, h, weight, bias);
}

template Var<float> cross_entropy(Var<float>, std::span<const std::int32_t>, const CrossEntropyOptions&);
template Var<double> cross_entropy(Var<double>, std::span<const std::int32_t>, const CrossEntropyOptions&);
template Var<float> linear_cross_entropy(Var<float>, Var<float>, Var<float>, std::span<const std::int32_t>,
                                         const CrossEntropyOptions&, Transposed);
template Var<double> linear_cross_entropy(Var<double>, Var<double>, Var<double>, std::span<const std::int32_t>,
                                          const CrossEntropyOptions&, Transposed);

}  // namespace unroll::inline UNROLL_ISA::detail
