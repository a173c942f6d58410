#pragma once

#include <algorithm>

#include <unroll/autograd/ops/loss.h>
#include <unroll/layers/linear.h>
#include <unroll/layers/tokens.h>

// Words that the decoder does not know and the source has.

namespace unroll::inline UNROLL_ISA {

/// The source step with the largest weight, for each row of weights [..., source time].
template <Real T>
std::vector<Index> most_attended(Var<T> weights) {
  const View<const T> w = values(contiguous(weights));
  std::vector<Index> steps;
  for (Index r = 0; r < w.rows; ++r) steps.push_back(std::max_element(w.row(r), w.row(r) + w.cols) - w.row(r));
  return steps;
}

/// Each target word that is `unknown` becomes the source word it attended to most (Luong et al. 2015, "Addressing the
/// rare word problem", by attention as in Jean et al. 2015). weights [targets, source time] are those of
/// one sentence. Throws ShapeError when they do not fit the words.
template <class Word, Real T>
void copy_unknown(std::vector<Word>& targets, const Word& unknown, std::span<const Word> source, Var<T> weights) {
  const Shape shape = weights.shape();
  require<ShapeError>(shape.rank() == 2 && shape[0] >= static_cast<Index>(targets.size()) &&
                          shape[1] >= static_cast<Index>(source.size()) && !source.empty(),
                      "copy_unknown: weights {} of {} target words and {} source words", shape, targets.size(),
                      source.size());
  const View<const T> w = values(contiguous(weights));
  for (std::size_t t = 0; t < targets.size(); ++t) {
    if (targets[t] != unknown) continue;
    const T* const row = w.row(static_cast<Index>(t));
    targets[t] = source[static_cast<std::size_t>(std::max_element(row, row + source.size()) - row)];
  }
}

/// Mean negative log likelihood of targets that are either generated or copied (See, Liu and Manning 2017, eqs. 9 and
/// 6):
///   P(w) = p softmax(logits)_w + (1 - p) sum of the weights of the source steps that hold w,   p = sigmoid(gate)
/// for logits [time, batch, symbols], gate [time, batch, 1], weights [time, batch, source time] and sources
/// [source time, batch]. Ids from `symbols` up are words that only the source has. Targets of -1 have no loss.
/// Throws ValueError for a target that can be neither generated nor copied, and when there is none at all.
template <Real T>
Var<T> pointer_loss(Var<T> logits, Var<T> gate, Var<T> weights, const Tokens& source,
                    std::span<const std::int32_t> targets);

}  // namespace unroll::inline UNROLL_ISA
