#include <unroll/layers/crf_paths.h>

#include <algorithm>

namespace unroll::inline UNROLL_ISA::detail {
namespace {

constexpr double never = -std::numeric_limits<double>::infinity();

template <Real T>
std::vector<double> masked(const Parameter<T>& scores, const std::vector<std::uint8_t>& allowed) {
  std::vector<double> result(scores.value().begin(), scores.value().end());
  for (std::size_t i = 0; i < allowed.size(); ++i)
    if (allowed[i] == 0) result[i] = never;
  return result;
}

}  // namespace

template <Real T>
PathSearch::PathSearch(const LinearChainCrf<T>& crf)
    : labels_(crf.labels()),
      transitions_(masked(crf.transitions, crf.constraint.transitions)),
      start_(masked(crf.start, crf.constraint.start)),
      end_(masked(crf.end, crf.constraint.end)),
      score_(start_.size()),
      next_(start_.size()) {}

std::span<double> PathSearch::emissions(Index steps) {
  steps_ = steps;
  emissions_.resize(static_cast<std::size_t>(steps * labels_));
  return emissions_;
}

std::vector<LabelPath> PathSearch::best() {
  if (steps_ == 0) return {LabelPath{}};
  const auto labels = static_cast<std::size_t>(labels_);
  from_.assign(static_cast<std::size_t>(steps_) * labels, 0);
  for (std::size_t k = 0; k < labels; ++k) score_[k] = start_[k] + emissions_[k];
  for (std::size_t t = 1; t < static_cast<std::size_t>(steps_); ++t) {
    std::int32_t* const from = from_.data() + t * labels;
    std::fill(next_.begin(), next_.end(), never);
    for (std::size_t j = 0; j < labels; ++j)
      for (std::size_t k = 0; k < labels; ++k) {
        const double s = score_[j] + transitions_[j * labels + k];
        from[k] = s > next_[k] ? static_cast<std::int32_t>(j) : from[k];
        next_[k] = s > next_[k] ? s : next_[k];
      }
    for (std::size_t k = 0; k < labels; ++k) score_[k] = next_[k] + emissions_[t * labels + k];
  }
  LabelPath path{std::vector<std::int32_t>(static_cast<std::size_t>(steps_)), never};
  for (std::size_t k = 0; k < labels; ++k)
    if (score_[k] + end_[k] > path.score) {
      path.score = score_[k] + end_[k];
      path.labels.back() = static_cast<std::int32_t>(k);
    }
  if (path.score == never) return {};
  for (std::size_t t = path.labels.size() - 1; t > 0; --t)
    path.labels[t - 1] = from_[t * labels + static_cast<std::size_t>(path.labels[t])];
  return {path};
}

void PathSearch::keep_best(std::vector<Step>& candidates, Index k) {
  const auto better = [](const Step& a, const Step& b) {
    return a.score != b.score ? a.score > b.score : a.label != b.label ? a.label < b.label : a.rank < b.rank;
  };
  std::erase_if(candidates, [](const Step& s) { return !(s.score > never); });
  const std::size_t kept = std::min(candidates.size(), static_cast<std::size_t>(k));
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<Index>(kept), candidates.end(), better);
  candidates.resize(kept);
}

std::vector<LabelPath> PathSearch::best(Index k) {
  if (steps_ == 0) return {LabelPath{}};
  const auto labels = static_cast<std::size_t>(labels_);
  // The k best ways to each label of each step, and behind them those to the end.
  std::vector<std::vector<Step>> ways(static_cast<std::size_t>(steps_) * labels + 1);
  const auto extend = [&](std::vector<Step>& to, Index before, auto gain) {
    for (std::size_t j = 0; j < labels; ++j) {
      const std::vector<Step>& from = ways[static_cast<std::size_t>(before) * labels + j];
      for (std::size_t rank = 0; rank < from.size(); ++rank)
        to.push_back({from[rank].score + gain(j), static_cast<std::int32_t>(j), static_cast<std::int32_t>(rank)});
    }
    keep_best(to, k);
  };
  for (std::size_t to = 0; to < labels; ++to) {
    ways[to].push_back({start_[to] + emissions_[to], 0, 0});
    keep_best(ways[to], k);
  }
  for (Index t = 1; t < steps_; ++t)
    for (std::size_t to = 0; to < labels; ++to)
      extend(ways[static_cast<std::size_t>(t) * labels + to], t - 1, [&](std::size_t j) {
        return transitions_[j * labels + to] + emissions_[static_cast<std::size_t>(t) * labels + to];
      });
  extend(ways.back(), steps_ - 1, [&](std::size_t j) { return end_[j]; });

  std::vector<LabelPath> paths;
  for (const Step& last : ways.back()) {
    LabelPath path{std::vector<std::int32_t>(static_cast<std::size_t>(steps_)), last.score};
    Step step = last;
    for (std::size_t t = path.labels.size(); t-- > 0;) {
      path.labels[t] = step.label;
      step = ways[t * labels + static_cast<std::size_t>(step.label)][static_cast<std::size_t>(step.rank)];
    }
    paths.push_back(std::move(path));
  }
  return paths;
}

template PathSearch::PathSearch(const LinearChainCrf<float>&);
template PathSearch::PathSearch(const LinearChainCrf<double>&);

}  // namespace unroll::inline UNROLL_ISA::detail
