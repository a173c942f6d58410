#pragma once

#include <unroll/autograd/ops/loss.h>
#include <unroll/layers/init.h>
#include <unroll/layers/model.h>

namespace unroll::inline UNROLL_ISA {

/// Classes that have an order, such as 1 .. K stars, from one score (McCullagh 1980, section 2, proportional odds):
///   P(stars <= k) = sigmoid(threshold_k - score),  k = 1 .. K - 1,
///   threshold_1 = raw_1,  threshold_k = threshold_(k-1) + log(1 + e^raw_k),
/// so that the thresholds stay in order whatever is learned. The score may come from any layer of one output.
template <Real T = float>
struct OrdinalRegression {
  Parameter<T> raw;  // [K - 1]

  /// All stars equally probable at score 0. Throws ValueError for fewer than two.
  explicit OrdinalRegression(Index stars);

  Index stars() const { return raw.shape()[0] + 1; }
  /// The thresholds, in order: [K - 1].
  Var<T> thresholds(Tape<T>& tape) const;
  /// Minus the logarithm of the probability of the stars given, one number for each score, 1 .. K; -1 has no loss, and
  /// its score is not read. Scores of any shape. Throws IndexError for stars out of range, ShapeError unless there are
  /// as many as scores, and ValueError when there is none to average over.
  Var<T> loss(Var<T> score, std::span<const std::int32_t> stars, Reduction reduction = Reduction::mean) const;
  /// The probabilities of 1 .. K stars along a new last axis: [...] to [..., K].
  Var<T> probabilities(Var<T> score) const;
  /// The most probable stars of each score, 1 .. K; of equals the fewest.
  std::vector<std::int32_t> predict(Var<T> score) const;

  static void fields(auto& m, auto&& f) { f("raw", m.raw); }
};

extern template struct OrdinalRegression<float>;
extern template struct OrdinalRegression<double>;

}  // namespace unroll::inline UNROLL_ISA
