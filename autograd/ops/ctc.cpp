#include <unroll/autograd/ops/ctc.h>

#include <unroll/autograd/ops/line_sum.h>
#include <unroll/autograd/ops/record.h>
#include <unroll/autograd/tensor/simd.h>

namespace unroll::inline UNROLL_ISA::detail {
namespace {

template <Real T>
constexpr T never = -std::numeric_limits<T>::infinity();

/// log(e^a + e^b + e^c)
template <Real T>
Batch<T> log_sum(Batch<T> a, Batch<T> b, Batch<T> c) {
  // Not minus infinity, so that nothing infinite is subtracted from itself.
  const Batch<T> most = math::max(Batch<T>(std::numeric_limits<T>::lowest() / 4), math::max(a, math::max(b, c)));
  return most + math::log(math::exp(a - most) + math::exp(b - most) + math::exp(c - most));
}

/// The alignments of one row: which of its states blank, label, blank, label, ..., blank may follow which.
template <Real T>
class Alignments {
 public:
  /// Room that serves rows of up to `steps` steps and `labels` labels, of T and of labels.
  static Index numbers(Index steps, Index labels) { return (2 * steps + 4) * row_size(labels); }
  static Index symbols(Index labels) { return 2 * labels + 1; }

  Alignments(std::span<const std::int32_t> target, std::int32_t blank, std::span<T> numbers,
             std::span<std::int32_t> symbols)
      : states_(2 * static_cast<Index>(target.size()) + 1),
        row_(row_size(static_cast<Index>(target.size()))),
        room_(numbers),
        labels_(symbols.data()) {
    std::fill_n(labels_, states_, blank);
    skips_ = take_row();
    for (std::size_t i = 0; i < target.size(); ++i) {
      const auto s = 2 * static_cast<Index>(i) + 1;
      labels_[s] = target[i];
      // The blank between two labels may be left out unless they are equal.
      if (i > 0 && target[i] != target[i - 1]) skips_[s] = 0;
    }
  }

  /// The fewest steps that an alignment takes.
  Index fewest_steps() const {
    Index count = states_ / 2;
    for (Index s = 3; s < states_; s += 2) count += skips_[s] == never<T> ? 1 : 0;
    return count;
  }

  /// The logarithm of the probability of all alignments, from log probabilities [steps, classes]. With `shares`, of the
  /// same shape, the probability that an alignment is at a class is added to it, for each step.
  double log_probability(const T* log_p, Index steps, Index classes, T* shares) {
    if (steps == 0) return states_ == 1 ? 0 : never<double>;
    emit_ = take_row();
    for (Index t = 1; t < steps; ++t) take_row();
    ahead_ = take_row();
    for (Index t = 1; t < steps; ++t) take_row();
    for (Index t = 0; t < steps; ++t)
      for (Index s = 0; s < states_; ++s) at(emit_, t)[s] = log_p[t * classes + labels_[s]];
    ahead_[0] = emit_[0];
    if (states_ > 1) ahead_[1] = emit_[1];
    // Rows are kept near 0, where logarithms are precise; what was taken out of them adds up in double.
    double taken = 0;
    for (Index t = 1; t < steps; ++t) {
      const T* const last = at(ahead_, t - 1);
      T* const next = at(ahead_, t);
      for (Index s = 0; s < states_; s += lanes<T>)
        (load(at(emit_, t) + s) + log_sum<T>(load(last + s), load(last + s - 1), load(last + s - 2) + load(skips_ + s)))
            .store_unaligned(next + s);
      taken += static_cast<double>(take_largest(next));
    }
    const T* const end = at(ahead_, steps - 1) + states_ - 1;
    const T rest = log_sum<T>(Batch<T>(end[0]), Batch<T>(states_ > 1 ? end[-1] : never<T>), Batch<T>(never<T>)).get(0);
    if (shares != nullptr && rest != never<T>) add_shares(steps, classes, shares);
    return taken + static_cast<double>(rest);
  }

 private:
  static constexpr Index pad = 2;  // states before the first and behind the last that are never reached
  static Index row_size(Index labels) { return 2 * labels + 1 + lanes<T> + 2 * pad; }

  /// One value for each state, at first minus infinity.
  T* take_row() {
    std::fill_n(room_.data(), row_, never<T>);
    T* const row = room_.data() + pad;
    room_ = room_.subspan(static_cast<std::size_t>(row_));
    return row;
  }
  T* at(T* first, Index t) const { return first + t * row_; }
  static Batch<T> load(const T* from) { return Batch<T>::load_unaligned(from); }
  void clear_behind(T* states) const { std::fill_n(states + states_, lanes<T>, never<T>); }
  /// Takes the largest out of a row, unless nothing is reached, and returns it.
  T take_largest(T* states) const {
    const T largest = simd::max(states, states_);
    if (largest == never<T>) return 0;
    for (Index s = 0; s < states_; s += lanes<T>) (load(states + s) - Batch<T>(largest)).store_unaligned(states + s);
    clear_behind(states);
    return largest;
  }

  void add_shares(Index steps, Index classes, T* shares) {
    // What is behind a state: the probability of the steps after it, up to a factor.
    T *behind = take_row(), *before = take_row(), *probability = take_row();
    behind[states_ - 1] = 0;
    if (states_ > 1) behind[states_ - 2] = 0;
    for (Index t = steps - 1;; --t) {
      for (Index s = 0; s < states_; s += lanes<T>)
        (load(at(ahead_, t) + s) + load(behind + s)).store_unaligned(probability + s);
      const Batch<T> largest(simd::max(probability, states_));
      for (Index s = 0; s < states_; s += lanes<T>)
        math::exp(load(probability + s) - largest).store_unaligned(probability + s);
      const T scale = 1 / simd::sum(probability, states_);
      for (Index s = 0; s < states_; ++s) shares[t * classes + labels_[s]] += scale * probability[s];
      if (t == 0) return;
      for (Index s = 0; s < states_; s += lanes<T>)
        (load(at(emit_, t) + s) + load(behind + s)).store_unaligned(behind + s);
      clear_behind(behind);
      for (Index s = 0; s < states_; s += lanes<T>)
        log_sum<T>(load(behind + s), load(behind + s + 1), load(behind + s + 2) + load(skips_ + s + 2))
            .store_unaligned(before + s);
      clear_behind(before);
      take_largest(before);
      std::swap(behind, before);
    }
  }

  Index states_, row_;
  std::span<T> room_;
  std::int32_t* labels_;
  T* skips_;  // 0 where a state may follow the one two before it
  T *emit_ = nullptr, *ahead_ = nullptr;
};

template <Real T>
struct CtcLoss {
  static constexpr const char* name = "ctc_loss";
  Var<T> logits;
  T loss;
  std::span<T> gradients;  // of the loss with respect to the logits; empty when nobody wants them

  void forward(Var<T> y) const { *result(y).data = loss; }
  void backward(Var<T> y) const {
    const T dy = *gradient(y).data;
    const View<T> to = gradient(logits);
    for (Index r = 0; r < to.rows; ++r) simd::add_scaled(dy, gradients.data() + r * to.cols, to.row(r), to.cols);
  }
};

template <Real T>
void log_softmax_row(const T* x, T* y, Index n) {
  LineSum<T> line = line_sum(x, n);
  line.log_total += line.largest - line.largest;  // a row with an infinity is NaN throughout
  simd::map(x, y, n, [=](auto v) { return line.log_share(v); });
}

template <Real T>
void check_ctc(Tape<T>& tape, const Shape& shape, const Labels& targets, std::span<const Index> lengths,
               const CtcOptions& options) {
  tape.template require<ShapeError>(shape.rank() == 3, "ctc_loss: logits [time, batch, classes] are needed, not {}",
                                    shape);
  const auto batch = static_cast<std::size_t>(shape[1]);
  tape.template require<ValueError>(batch > 0, "ctc_loss: there is no row in logits {}", shape);
  tape.template require<ShapeError>(targets.size() == batch, "ctc_loss: {} targets for logits {}", targets.size(),
                                    shape);
  tape.template require<ShapeError>(lengths.empty() || lengths.size() == batch, "ctc_loss: {} lengths for logits {}",
                                    lengths.size(), shape);
  const Index last = shape[2] - 1;
  tape.template require<IndexError>(options.blank >= 0 && options.blank <= last,
                                    "ctc_loss: the blank {} is outside 0 .. {}", options.blank, last);
  for (std::size_t b = 0; b < batch; ++b) {
    tape.template require<ShapeError>(lengths.empty() || (lengths[b] >= 0 && lengths[b] <= shape[0]),
                                      "ctc_loss: length {} of row {} in logits {}", lengths.empty() ? 0 : lengths[b], b,
                                      shape);
    for (std::size_t i = 0; i < targets[b].size(); ++i)
      tape.template require<IndexError>(targets[b][i] >= 0 && targets[b][i] <= last && targets[b][i] != options.blank,
                                        "ctc_loss: label {} of row {} is {}; labels are 0 .. {} without the blank {}",
                                        i, b, targets[b][i], last, options.blank);
  }
}

}  // namespace

template <Real T>
Var<T> ctc_loss(Var<T> logits, const Labels& targets, std::span<const Index> lengths, const CtcOptions& options) {
  Tape<T>& tape = logits.tape();
  const Shape shape = tape.checked(logits, "ctc_loss").shape;
  check_ctc(tape, shape, targets, lengths, options);
  const Index time = shape[0], batch = shape[1], classes = shape[2];
  const bool differentiates = tape.node(logits.index()).grad != nullptr;
  CtcLoss<T> rule{logits, T(0), differentiates ? tape.template room<T>(shape.size()) : std::span<T>{}};
  std::fill(rule.gradients.begin(), rule.gradients.end(), T(0));

  Index longest = 0;
  for (const auto& target : targets) longest = std::max(longest, static_cast<Index>(target.size()));
  const std::span<T> numbers = tape.template scratch<T>(Alignments<T>::numbers(time, longest) + 2 * time * classes);
  T* const log_p = numbers.data();
  T* const shares = log_p + time * classes;
  const std::span<T> room = numbers.subspan(static_cast<std::size_t>(2 * time * classes));
  const auto symbols = tape.template room<std::int32_t>(Alignments<T>::symbols(longest));
  const View<const T> x = values(logits);
  const FlushDenormals no_denormals;
  double total = 0;
  for (Index b = 0; b < batch; ++b) {
    const std::vector<std::int32_t>& target = targets[static_cast<std::size_t>(b)];
    const Index steps = lengths.empty() ? time : lengths[static_cast<std::size_t>(b)];
    Alignments<T> alignments(target, options.blank, room, symbols);
    const Index fewest = alignments.fewest_steps();
    tape.template require<ValueError>(fewest <= steps || options.infeasible != Infeasible::refuse,
                                      "ctc_loss: the target of row {} takes {} steps at least, its sequence has {}", b,
                                      fewest, steps);
    double found = never<double>;
    if (fewest <= steps) {
      for (Index t = 0; t < steps; ++t) log_softmax_row(x.row(t * batch + b), log_p + t * classes, classes);
      if (differentiates) std::fill_n(shares, steps * classes, T(0));
      found = alignments.log_probability(log_p, steps, classes, differentiates ? shares : nullptr);
      tape.template require<ValueError>(found != never<double> || options.infeasible != Infeasible::refuse,
                                        "ctc_loss: no alignment of row {} has a probability above 0", b);
    }
    if (found == never<double>) {
      if (options.infeasible == Infeasible::infinite) total = std::numeric_limits<double>::infinity();
      continue;
    }
    const T weight = options.reduction == Reduction::sum
                         ? T(1)
                         : T(1) / static_cast<T>(batch * std::max<Index>(1, static_cast<Index>(target.size())));
    total -= static_cast<double>(weight) * found;
    for (Index t = 0; differentiates && t < steps; ++t) {
      T* const g = rule.gradients.data() + (t * batch + b) * classes;
      simd::map(log_p + t * classes, g, classes, [=](auto v) { return decltype(v)(weight) * math::exp(v); });
      simd::add_scaled(-weight, shares + t * classes, g, classes);
    }
  }
  rule.loss = static_cast<T>(total);
  return record(Shape{}, rule, logits);
}

template Var<float> ctc_loss(Var<float>, const Labels&, std::span<const Index>, const CtcOptions&);
template Var<double> ctc_loss(Var<double>, const Labels&, std::span<const Index>, const CtcOptions&);

}  // namespace unroll::inline UNROLL_ISA::detail
