#pragma once

#include <unroll/autograd/ops/ctc.h>
#include <unroll/layers/decoding/prefix_model.h>

// From the logits [time, batch, classes] of a network trained with ctc_loss to labels. `lengths` are how many steps of
// each row are valid; what lies behind them is not read.

namespace unroll::inline UNROLL_ISA {

/// The labels of the likeliest alignment of each row: the likeliest class of each step, repetitions joined, blanks left
/// out (Graves et al. 2006, sec. 3.2, best path decoding). Of equals the first. Throws ValueError for a NaN.
template <Real T>
Labels ctc_greedy(const Var<T>& logits, std::span<const Index> lengths = {}, std::int32_t blank = 0);

struct CtcBeamOptions {
  std::int32_t blank = 0;
  Index width = 16;            // prefixes kept from step to step
  Index best = 1;              // transcripts wanted of each row
  double language_weight = 0;  // times the log probability of the language model
  double label_bonus = 0;      // for each label, since a language model favours short transcripts
};

/// What a row may say. The score is log_probability + language_weight log p(labels) + label_bonus |labels|.
struct Transcript {
  std::vector<std::int32_t> labels;
  double log_probability = 0;  // of all alignments of the labels that the beam followed, in nats
  double score = 0;
};

/// The likeliest labels of each row, best first, by prefix beam search (Graves 2012, ch. 7; Hannun et al. 2014,
/// algorithm 1): the alignments of a prefix are counted together. Exact when `width` prefixes are all there are.
/// Throws ValueError for a NaN, and for a width below `best` or below 1.
template <Real T>
std::vector<std::vector<Transcript>> ctc_beam_search(const Var<T>& logits, std::span<const Index> lengths = {},
                                                     const CtcBeamOptions& options = {},
                                                     PrefixModel* language_model = nullptr);

}  // namespace unroll::inline UNROLL_ISA
