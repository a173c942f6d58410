#pragma once

#include <unroll/layers/crf.h>

// The best paths through one row of a chain, in double for either scalar.

namespace unroll::inline UNROLL_ISA::detail {

class PathSearch {
 public:
  /// The scores of a field; what its constraint forbids is -infinity.
  template <Real T>
  explicit PathSearch(const LinearChainCrf<T>& crf);

  /// The emissions [steps, labels] of the row that is searched next.
  std::span<double> emissions(Index steps);
  /// Its best path, or none.
  std::vector<LabelPath> best();
  /// Its k best paths, best first, or as many as there are.
  std::vector<LabelPath> best(Index k);

 private:
  struct Step {
    double score;
    std::int32_t label;  // of the step before
    std::int32_t rank;   // among the paths that end there
  };
  static void keep_best(std::vector<Step>& candidates, Index k);

  Index labels_, steps_ = 0;
  std::vector<double> transitions_, start_, end_, emissions_, score_, next_;
  std::vector<std::int32_t> from_;
};

}  // namespace unroll::inline UNROLL_ISA::detail
