#include <unroll/models/data/utf8.h>
#include <unroll/models/metrics/classification.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace unroll::inline UNROLL_ISA {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

double share(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

void require_same_length(const char* what, std::size_t truth, std::size_t predicted) {
  require<ValueError>(truth == predicted, "{}: {} true labels and {} predictions", what, truth, predicted);
}

template <Real T>
double area_under_curve(std::span<const std::int32_t> truth, std::span<const T> scores) {
  require_same_length("roc_auc", truth.size(), scores.size());
  for (std::size_t i = 0; i < truth.size(); ++i) {
    require<ValueError>(truth[i] == 0 || truth[i] == 1, "roc_auc: label {} at position {} is neither 0 nor 1", truth[i],
                        i);
    require<ValueError>(!std::isnan(scores[i]), "roc_auc: the score at position {} is NaN", i);
  }
  const auto positives = std::count(truth.begin(), truth.end(), 1);
  const auto negatives = static_cast<Index>(truth.size()) - positives;
  require<ValueError>(positives > 0 && negatives > 0,
                      "roc_auc: {} examples of class 1 and {} of class 0; it takes both", positives, negatives);
  std::vector<std::size_t> order(truth.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return scores[a] < scores[b]; });
  double pairs_won = 0;
  std::int64_t below = 0;  // negatives of smaller scores
  for (std::size_t i = 0; i < order.size();) {
    std::int64_t tied[2] = {0, 0};
    const T score = scores[order[i]];
    for (; i < order.size() && scores[order[i]] == score; ++i) ++tied[truth[order[i]]];
    pairs_won += static_cast<double>(tied[1]) * (static_cast<double>(below) + 0.5 * static_cast<double>(tied[0]));
    below += tied[0];
  }
  return pairs_won / (static_cast<double>(positives) * static_cast<double>(negatives));
}

}  // namespace

double Detections::precision() const { return share(correct, predicted); }
double Detections::recall() const { return share(correct, actual); }
double Detections::f1() const { return share(2 * correct, predicted + actual); }

Detections& Detections::operator+=(const Detections& other) {
  correct += other.correct;
  predicted += other.predicted;
  actual += other.actual;
  return *this;
}

ConfusionMatrix::ConfusionMatrix(Index classes) : classes_(classes) {
  require<ValueError>(classes >= 1 && classes <= (Index{1} << 15), "confusion matrix: {} classes; it takes 1 to {}",
                      classes, Index{1} << 15);
  counts_.assign(at(classes * classes), 0);
}

ConfusionMatrix::ConfusionMatrix(Index classes, std::span<const std::int32_t> truth,
                                 std::span<const std::int32_t> predicted)
    : ConfusionMatrix(classes) {
  add(truth, predicted);
}

void ConfusionMatrix::add(std::span<const std::int32_t> truth, std::span<const std::int32_t> predicted) {
  require_same_length("confusion matrix", truth.size(), predicted.size());
  for (std::size_t i = 0; i < truth.size(); ++i) {
    if (truth[i] == -1) continue;
    require<IndexError>(truth[i] >= 0 && truth[i] < classes_,
                        "confusion matrix: true label {} at position {} of {} classes", truth[i], i, classes_);
    require<IndexError>(predicted[i] >= 0 && predicted[i] < classes_,
                        "confusion matrix: predicted label {} at position {} of {} classes", predicted[i], i, classes_);
  }
  for (std::size_t i = 0; i < truth.size(); ++i)
    if (truth[i] != -1) ++counts_[at(truth[i] * classes_ + predicted[i])];
}

ConfusionMatrix& ConfusionMatrix::operator+=(const ConfusionMatrix& other) {
  require<ValueError>(classes_ == other.classes_, "confusion matrix: {} and {} classes do not add up", classes_,
                      other.classes_);
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  return *this;
}

std::size_t ConfusionMatrix::place(Index truth, Index predicted) const {
  require<IndexError>(truth >= 0 && truth < classes_ && predicted >= 0 && predicted < classes_,
                      "confusion matrix: classes {} and {} of {}", truth, predicted, classes_);
  return at(truth * classes_ + predicted);
}

void ConfusionMatrix::require_observations(const char* score) const {
  require<ValueError>(total() > 0, "{}: the confusion matrix is empty", score);
}

std::int64_t ConfusionMatrix::total() const { return std::accumulate(counts_.begin(), counts_.end(), std::int64_t{0}); }

std::int64_t ConfusionMatrix::count(Index truth, Index predicted) const { return counts_[place(truth, predicted)]; }

Detections ConfusionMatrix::of(Index c) const {
  Detections found{.correct = count(c, c), .predicted = 0, .actual = 0};
  for (Index k = 0; k < classes_; ++k) {
    found.predicted += count(k, c);
    found.actual += count(c, k);
  }
  return found;
}

double ConfusionMatrix::accuracy() const {
  require_observations("accuracy");
  std::int64_t correct = 0;
  for (Index c = 0; c < classes_; ++c) correct += count(c, c);
  return share(correct, total());
}

MacroScores ConfusionMatrix::macro() const {
  require_observations("macro average");
  MacroScores sum;
  double present = 0;
  for (Index c = 0; c < classes_; ++c) {
    const Detections found = of(c);
    if (found.predicted + found.actual == 0) continue;
    sum.precision += found.precision();
    sum.recall += found.recall();
    sum.f1 += found.f1();
    ++present;
  }
  return {sum.precision / present, sum.recall / present, sum.f1 / present};
}

double ConfusionMatrix::weighted_f1() const {
  require_observations("weighted F1");
  double sum = 0;
  for (Index c = 0; c < classes_; ++c) sum += static_cast<double>(of(c).actual) * of(c).f1();
  return sum / static_cast<double>(total());
}

double ConfusionMatrix::balanced_accuracy() const {
  require_observations("balanced accuracy");
  double sum = 0, present = 0;
  for (Index c = 0; c < classes_; ++c) {
    const Detections found = of(c);
    sum += found.recall();
    present += found.actual > 0;
  }
  return sum / present;
}

double ConfusionMatrix::matthews() const {
  require_observations("matthews correlation");
  const auto s = static_cast<double>(total());
  double correct = 0, both = 0, predicted = 0, actual = 0;
  for (Index c = 0; c < classes_; ++c) {
    const Detections found = of(c);
    const auto t = static_cast<double>(found.actual), p = static_cast<double>(found.predicted);
    correct += static_cast<double>(found.correct);
    both += t * p;
    predicted += p * p;
    actual += t * t;
  }
  const double spread = (s * s - predicted) * (s * s - actual);
  return spread == 0 ? 0 : (correct * s - both) / std::sqrt(spread);
}

std::string ConfusionMatrix::table(std::span<const std::string> names) const {
  require<ValueError>(names.empty() || static_cast<Index>(names.size()) == classes_,
                      "confusion matrix: {} names of {} classes", names.size(), classes_);
  std::vector<std::vector<std::string>> rows(at(classes_ + 1));
  const auto name = [&](Index c) { return names.empty() ? fmt::format("{}", c) : names[at(c)]; };
  rows[0].emplace_back("true \\ predicted");
  for (Index c = 0; c < classes_; ++c) rows[0].push_back(name(c));
  for (const char* score : {"precision", "recall", "F1"}) rows[0].emplace_back(score);
  for (Index t = 0; t < classes_; ++t) {
    auto& row = rows[at(t + 1)];
    row.push_back(name(t));
    for (Index p = 0; p < classes_; ++p) row.push_back(fmt::format("{}", count(t, p)));
    const Detections found = of(t);
    for (const double score : {found.precision(), found.recall(), found.f1()})
      row.push_back(fmt::format("{:.4f}", score));
  }
  std::vector<Index> widths(rows[0].size(), 0);
  for (const auto& row : rows)
    for (std::size_t k = 0; k < row.size(); ++k)
      widths[k] = std::max(widths[k], count_characters(row[k], "confusion matrix: a name"));
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t k = 0; k < row.size(); ++k) {
      const std::string blanks(at(widths[k] - count_characters(row[k])), ' ');
      text += k == 0 ? row[k] + blanks : "  " + blanks + row[k];
    }
    text += '\n';
  }
  return text;
}

double accuracy(std::span<const std::int32_t> truth, std::span<const std::int32_t> predicted) {
  require_same_length("accuracy", truth.size(), predicted.size());
  std::int64_t correct = 0, counted = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    if (truth[i] == -1) continue;
    correct += truth[i] == predicted[i];
    ++counted;
  }
  require<ValueError>(counted > 0, "accuracy: there are no labels");
  return share(correct, counted);
}

double roc_auc(std::span<const std::int32_t> truth, std::span<const double> scores) {
  return area_under_curve(truth, scores);
}

double roc_auc(std::span<const std::int32_t> truth, std::span<const float> scores) {
  return area_under_curve(truth, scores);
}

}  // namespace unroll::inline UNROLL_ISA
