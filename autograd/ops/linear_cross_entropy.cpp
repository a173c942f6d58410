#include <unroll/autograd/ops/class_targets.h>
#include <unroll/autograd/ops/line_sum.h>
#include <unroll/autograd/tensor/gemm.h>

namespace unroll::inline UNROLL_ISA::detail {
namespace {

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
  /// What makes a probability of an exponential of this block, when all blocks were seen.
  T share(Index block, Index row) const {
    const T then = largest.row(block)[row], now = largest.row(largest.rows - 1)[row];
    return (then == now ? T(1) : std::exp(then - now)) / total[static_cast<std::size_t>(row)];
  }
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
    if (total != 0 && largest != before) total *= std::exp(before - largest);
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
    for_blocks(turned(across), [&](const Right<T>& right, const Block& at) {
      const View<T> d{scratch.data(), at.rows, at.count, at.count};
      const View<T> e = kept.empty() ? d : kept_of(at);
      if (kept.empty()) make_logits(Right<T>(across, of_classes(values(weight), at.first, at.count), false), at, d);
      constexpr Index few = 8;  // rows that stay in the nearest cache until the bias has taken them
      for (Index begin = 0; begin < at.rows; begin += few) {
        const Index end = std::min(at.rows, begin + few);
        for (Index r = begin; r < end; ++r) {
          const Index row = at.row + r;
          if (!targets.counts(row)) {
            std::fill_n(d.row(r), at.count, T(0));
            continue;
          }
          if (kept.empty()) exponentials(d.row(r), at.count, known.largest.row(at.index)[row]);
          targets.differentiate(e.row(r), d.row(r), at.first, at.count, row, targets.seed(dy, row) * targets.scale,
                                known.share(at.index, row));
        }
        if (db != nullptr) simd::add_rows(d.row(begin), d.stride, end - begin, db + at.first, at.count);
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

template Var<float> linear_cross_entropy(Var<float>, Var<float>, Var<float>, std::span<const std::int32_t>,
                                         const CrossEntropyOptions&, Transposed);
template Var<double> linear_cross_entropy(Var<double>, Var<double>, Var<double>, std::span<const std::int32_t>,
                                          const CrossEntropyOptions&, Transposed);

}  // namespace unroll::inline UNROLL_ISA::detail
