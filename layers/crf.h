#pragma once

#include <unroll/autograd/ops/chain.h>
#include <unroll/layers/init.h>
#include <unroll/layers/label_constraint.h>
#include <unroll/layers/model.h>

namespace unroll::inline UNROLL_ISA {

/// One path of labels through a row.
struct LabelPath {
  std::vector<std::int32_t> labels;  // one for each valid step
  double score = 0;
};

enum class CrfReduction : std::uint8_t { mean_per_row, mean_per_step, sum };

/// A linear-chain conditional random field (Lafferty, McCallum and Pereira 2001; over a recurrent network Lample et al.
/// 2016, sec. 2.2): what a label is depends on those beside it. Of a path y of labels through a row,
///   score(y) = start(y_0) + sum_t emission_t(y_t) + sum_t transition(y_t-1, y_t) + end(y_last),
///   p(y) = exp(score(y)) / Z,   Z = sum over all paths that the constraint allows.
/// What it forbids counts as a score of -infinity: it has no probability and its parameters no gradient.
///
/// Emissions are [time, batch, labels]; of row b the first lengths[b] steps are valid (none given: all), and padding is
/// never read. Labels are [time * batch], as in Tokens. A row of no step has one path, the empty one: its score, log Z,
/// loss and entropy are 0. Throws ShapeError when the extents do not fit, and ValueError naming row and length when the
/// constraint leaves a row no path.
template <Real T = float>
struct LinearChainCrf {
  using scalar = T;
  Parameter<T> transitions;  // [labels, labels], from the first axis to the second
  Parameter<T> start;        // [labels]
  Parameter<T> end;          // [labels]
  LabelConstraint constraint;

  /// Initial values uniform with limit 0.1. Throws ShapeError if the constraint is one of other labels.
  LinearChainCrf(Index labels, Rng& rng, LabelConstraint constraint = {});

  Index labels() const { return start.shape()[0]; }

  /// Minus the log likelihood of the paths given, in nats: the mean over the rows (those of no step count as 0), the
  /// mean over all valid steps, or the sum. Throws IndexError for a label out of range and ValueError for a path that
  /// the constraint forbids, both naming row and step.
  Var<T> loss(Var<T> emissions, std::span<const std::int32_t> labels, std::span<const Index> lengths = {},
              CrfReduction reduction = CrfReduction::mean_per_row) const;
  /// log p of the path given, of each row: [batch]. Throws as loss().
  Var<T> log_likelihood(Var<T> emissions, std::span<const std::int32_t> labels,
                        std::span<const Index> lengths = {}) const;
  /// The score of the path given, of each row: [batch]. Throws as loss().
  Var<T> score(Var<T> emissions, std::span<const std::int32_t> labels, std::span<const Index> lengths = {}) const;
  /// log Z of each row: [batch].
  Var<T> log_partition(Var<T> emissions, std::span<const Index> lengths = {}) const;
  /// The probability of each label at each step, [time, batch, labels]; zero in the padding. Differentiable.
  Var<T> marginals(Var<T> emissions, std::span<const Index> lengths = {}) const;
  /// The same without a tape.
  Tensor<T> marginals(const Tensor<T>& emissions, std::span<const Index> lengths = {}) const;
  /// - sum_y p(y) log p(y) of each row, in nats: [batch]. Differentiable.
  Var<T> entropy(Var<T> emissions, std::span<const Index> lengths = {}) const;

  /// The path of the highest score of each row (Viterbi 1967); of equals the one with the smaller last label, and so on
  /// from the last step to the first.
  std::vector<LabelPath> viterbi(Var<T> emissions, std::span<const Index> lengths = {}) const;
  std::vector<LabelPath> viterbi(const Tensor<T>& emissions, std::span<const Index> lengths = {}) const;
  /// The k paths of the highest scores of each row, best first; fewer where there are fewer. Throws ValueError for
  /// k < 1.
  std::vector<std::vector<LabelPath>> k_best(Var<T> emissions, Index k, std::span<const Index> lengths = {}) const;
  std::vector<std::vector<LabelPath>> k_best(const Tensor<T>& emissions, Index k,
                                             std::span<const Index> lengths = {}) const;

  static void fields(auto& m, auto&& f) { f("transitions", m.transitions), f("start", m.start), f("end", m.end); }
};

extern template struct LinearChainCrf<float>;
extern template struct LinearChainCrf<double>;

}  // namespace unroll::inline UNROLL_ISA
