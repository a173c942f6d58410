#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

// How well classes are predicted. Where a score is undefined (a class that is never predicted has no precision, one
// that never occurs no recall) it is 0, as in scikit-learn.

namespace unroll::inline UNROLL_ISA {

/// What was found of what there was: true positives, all predicted and all actual ones.
struct Detections {
  std::int64_t correct = 0, predicted = 0, actual = 0;

  /// correct / predicted, 0 when nothing was predicted.
  double precision() const;
  /// correct / actual, 0 when there was nothing to find.
  double recall() const;
  /// Harmonic mean of precision and recall, 2 correct / (predicted + actual); 0 when both are 0.
  double f1() const;

  Detections& operator+=(const Detections& other);
  friend bool operator==(const Detections&, const Detections&) = default;
};

/// Unweighted means over classes.
struct MacroScores {
  double precision = 0, recall = 0, f1 = 0;
};

/// Counts of predictions: row the true class, column the predicted one. Scores are those of scikit-learn with the same
/// names; those of no observation at all are a ValueError.
class ConfusionMatrix {
 public:
  /// Throws ValueError unless classes >= 1.
  explicit ConfusionMatrix(Index classes);
  /// A matrix of these labels; see add.
  ConfusionMatrix(Index classes, std::span<const std::int32_t> truth, std::span<const std::int32_t> predicted);

  /// Counts pairs of labels 0..classes-1. A pair whose truth is -1 is padding and not counted. Throws ValueError for
  /// different lengths and IndexError for other labels, and then counts nothing.
  void add(std::span<const std::int32_t> truth, std::span<const std::int32_t> predicted);
  /// Adds the counts of another matrix. Throws ValueError for another number of classes.
  ConfusionMatrix& operator+=(const ConfusionMatrix& other);

  Index classes() const { return classes_; }
  /// Number of counted pairs.
  std::int64_t total() const;
  /// How often `truth` was predicted as `predicted`. Throws IndexError for a class out of range.
  std::int64_t count(Index truth, Index predicted) const;

  /// The counts of one class against the rest.
  Detections of(Index c) const;
  /// Share of correct predictions, which also is precision, recall and F1 by micro average.
  double accuracy() const;
  /// Means over the classes that occur, as truth or as prediction.
  MacroScores macro() const;
  /// Mean of F1 over the classes that occur as truth, each weighted by how often.
  double weighted_f1() const;
  /// Mean of the recalls of the classes that occur as truth.
  double balanced_accuracy() const;
  /// Matthews correlation coefficient in -1..1, for any number of classes (Gorodkin 2004, "Comparing two K-category
  /// assignments by a K-category correlation coefficient"): with c correct of s pairs, t_k true and p_k predicted,
  ///   (c s - sum_k t_k p_k) / sqrt((s^2 - sum_k p_k^2) (s^2 - sum_k t_k^2)),
  /// and 0 where all truths or all predictions are of one class.
  double matthews() const;

  /// The counts as a table, a row for each true class, with precision, recall and F1 beside it. `names` are the
  /// classes' names in UTF-8, or none. Throws ValueError for another number of names, or one that is not UTF-8.
  std::string table(std::span<const std::string> names = {}) const;

 private:
  void require_observations(const char* score) const;
  std::size_t place(Index truth, Index predicted) const;

  Index classes_;
  std::vector<std::int64_t> counts_;
};

/// Share of equal labels; a pair whose truth is -1 is padding. Throws ValueError for different lengths or when nothing
/// is left.
double accuracy(std::span<const std::int32_t> truth, std::span<const std::int32_t> predicted);

/// Area under the receiver operating characteristic: the probability that an example of class 1 has a larger score than
/// one of class 0, ties counting half (Mann & Whitney 1947). `truth` holds 0 and 1. Throws ValueError for different
/// lengths, other labels, a score that is NaN, or a single class, of which scikit-learn makes NaN and a warning.
double roc_auc(std::span<const std::int32_t> truth, std::span<const double> scores);
double roc_auc(std::span<const std::int32_t> truth, std::span<const float> scores);

}  // namespace unroll::inline UNROLL_ISA
