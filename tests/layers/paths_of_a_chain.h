#pragma once

#include <layers/compare.h>

// All paths through a row of a small field, one by one: what its recursions are checked against.

namespace unroll {

struct EnumeratedPaths {
  std::vector<LabelPath> paths;  // those that are allowed, by their scores, best first
  double log_z = 0;

  EnumeratedPaths(const LinearChainCrf<double>& crf, const Tensor<double>& x, Index row, Index steps) {
    const Index labels = crf.labels();
    std::vector<std::int32_t> path(static_cast<std::size_t>(steps), 0);
    for (bool more = true; more;) {
      add(crf, x, row, path);
      more = false;
      for (std::size_t t = 0; t < path.size() && !more; ++t) {
        more = path[t] + 1 < labels;
        path[t] = more ? path[t] + 1 : 0;
      }
    }
    std::sort(paths.begin(), paths.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
    double total = 0;
    for (const LabelPath& p : paths) total += std::exp(p.score - paths[0].score);
    log_z = paths[0].score + std::log(total);
  }
  double probability(const LabelPath& path) const { return std::exp(path.score - log_z); }
  double entropy() const {
    double h = 0;
    for (const LabelPath& p : paths) h += probability(p) * (log_z - p.score);
    return h;
  }
  double marginal(Index step, Index label) const {
    double p = 0;
    for (const LabelPath& path : paths)
      if (path.labels[static_cast<std::size_t>(step)] == label) p += probability(path);
    return p;
  }

 private:
  void add(const LinearChainCrf<double>& crf, const Tensor<double>& x, Index row,
           const std::vector<std::int32_t>& path) {
    const LabelConstraint& c = crf.constraint;
    if (path.empty()) return paths.push_back({});
    bool allowed = c.empty() || (c.may_start(path.front()) && c.may_end(path.back()));
    double score = crf.start.value()(path.front()) + crf.end.value()(path.back());
    for (std::size_t t = 0; t < path.size(); ++t) {
      score += x(t, row, path[t]);
      if (t == 0) continue;
      score += crf.transitions.value()(path[t - 1], path[t]);
      allowed = allowed && (c.empty() || c.allows(path[t - 1], path[t]));
    }
    if (allowed) paths.push_back({path, score});
  }
};

}  // namespace unroll
