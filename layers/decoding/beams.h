#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <unroll/layers/decoding/hypothesis.h>

namespace unroll::inline UNROLL_ISA {

struct BeamOptions {
  Index width = 5;                             // hypotheses that are kept open for each source
  Index steps = 0;                             // at most so many symbols, the end symbol among them
  std::int32_t end = -1;                       // the symbol that ends a hypothesis; -1: none does
  Index min_steps = 0;                         // the end symbol is not chosen in the first so many steps
  double length_penalty = 0;                   // alpha; 0: by log probability, 1: nearly by log probability per symbol
  double coverage_penalty = 0;                 // beta; above 0 the step has to give attention weights
  Index best = 1;                              // how many hypotheses are wanted; at most `width`
  std::span<const Index> source_lengths = {};  // positions of each source that are to be covered; empty: all
};

namespace detail {

/// The books of a beam search: which hypotheses are open, which are finished. It knows logits alone.
template <Real T>
class Beams {
 public:
  Beams(std::span<const std::int32_t> first, const BeamOptions& options);

  bool done() const { return step_ == options_.steps || live_ == 0; }
  /// The last symbol of each row, and the row of the step before that it goes on from.
  std::span<const std::int32_t> tokens() const { return tokens_; }
  std::span<const Index> parents() const { return parents_; }
  void advance(View<const T> logits, View<const T> attention);
  std::vector<std::vector<Hypothesis>> result() const;

 private:
  struct Candidate {
    double log_probability;
    Index row;  // of the beam that it continues
    std::int32_t token;
  };
  /// A hypothesis by its last step: `row` is that step's row, from which the steps before are found.
  struct Finished {
    double score, log_probability;
    Index steps, row;
    std::int32_t last;  // the last symbol if it is no end, else -1
  };
  struct Source {
    Index open = 1;
    std::vector<Finished> finished;  // best first, no more than are wanted
  };

  void check(Index vocabulary, View<const T> attention) const;
  void gather_candidates(Index source, View<const T> logits);
  void scan_row(Index row, std::span<const T> logits, double base);
  void choose(Index source, View<const T> attention);
  void finish(Index source, const Candidate& candidate, bool ended, View<const T> attention);
  bool can_improve(const Source& source, Index row) const;
  double length_penalty(Index steps) const;
  double coverage(Index source, Index row, View<const T> attention) const;
  void keep_attention(View<const T> attention);
  void carry_coverage(View<const T> attention);
  Hypothesis trace(const Finished& finished) const;

  BeamOptions options_;
  std::vector<Index> lengths_;
  Index count_, width_, step_ = 0, live_;
  std::size_t wanted_ = 0;  // candidates that are looked for at a step
  std::vector<Source> sources_;
  std::vector<std::int32_t> tokens_;
  std::vector<Index> parents_;
  std::vector<double> log_probabilities_;  // of the open beams of each source, best first
  std::vector<double> coverage_;           // [rows, source]: attention up to the step before
  Index source_width_ = 0;
  std::vector<Candidate> candidates_;
  std::vector<T> largest_;  // of each block of a row of logits
  std::vector<std::vector<std::int32_t>> token_history_;
  std::vector<std::vector<Index>> parent_history_;
  std::vector<std::vector<T>> attention_history_;  // [rows, source] of each step
};

extern template class Beams<float>;
extern template class Beams<double>;

}  // namespace detail
}  // namespace unroll::inline UNROLL_ISA
