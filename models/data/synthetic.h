#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <unroll/autograd/tensor/rng.h>
#include <unroll/autograd/tensor/tensor.h>

// Tasks that need no data, whose answers are known.

namespace unroll::inline UNROLL_ISA {

/// Sequences that a task drew, and what is to be said of them. Steps from `first` on are scored.
struct Examples {
  Tensor<float> inputs;        // [time, batch, features]
  std::vector<Index> lengths;  // valid steps of each row; empty: all
  Index first = 0;
  std::vector<std::int32_t> classes;   // [(time - first) * batch] the class of each scored step, -1: padding
  std::vector<std::uint32_t> allowed;  // as classes: a bit for each class that is right there
  Tensor<float> numbers;               // of a task that predicts numbers instead: [time - first, batch, 1]

  Index time() const { return static_cast<Index>(inputs.shape()[0]); }
  Index batch() const { return static_cast<Index>(inputs.shape()[1]); }
};

/// Sequences of a task as lines of text. What is to be said of them follows from them, and is not written.
struct TextForm {
  const char* format;
  std::string (*line)(const Examples& e, Index row);
  /// Throws ValueError, saying what is wrong, for a line that is no sequence; unless it has to be `whole`, it may be
  /// the beginning of one, and is for its answer alone, which is at the steps from `first` on.
  Examples (*parse)(std::string_view line, bool whole);
  /// The answer, from what a model says at the steps from `first` on, a row each: numbers or logits.
  std::string (*answer)(View<const float> said);
};

/// A task for sequences of a given length. Its loss is the mean squared error of numbers, or the cross entropy of
/// classes in nats.
struct SyntheticTask {
  std::string name = {};
  const char* what = "";
  Index features = 1, outputs = 1;
  bool numbers = false;
  Index steps = 1;
  bool learnable = false;   // a model that remembers makes no error, at any length
  double solved_loss = 0;   // of numbers: solved at this loss or below
  double solved_share = 0;  // of classes: solved when this share of sequences is right throughout
  Examples (*draw_examples)(Rng& rng, Index steps, Index batch) = nullptr;
  const TextForm* text = nullptr;
  double (*baseline_of)(Index steps) = nullptr;

  Examples draw(Rng& rng, Index batch) const { return draw_examples(rng, steps, batch); }
  /// The loss of the best prediction without memory.
  double baseline() const { return baseline_of(steps); }
};

/// adding           inputs (u, mark), u uniform in 0 .. 1; after the last step the sum of the two marked u, one in each
///                  half (Hochreiter and Schmidhuber 1997, as in Le, Jaitly and Hinton 2015). Always 1: error 1/6.
/// copy             10 of 8 symbols, `steps` blanks of which the last is a sign to begin, then the symbols again
///                  (Arjovsky, Shah and Bengio 2016). Blanks, then any symbol: 10 ln 8 / (steps + 20).
/// parity           after each bit, whether the ones so far are odd. Guessing: ln 2.
/// reber            the next symbol of strings of the Reber grammar (Reber 1967), of at most `steps` symbols.
/// embedded-reber   the same of such strings between two equal symbols, T or P (Fahlman 1991). A step of both is right
///                  when the symbols that may follow are ranked before all others. From the last symbol alone: the
///                  cross entropy that counting gives.
/// sine             the next value of a sine of period 10 .. 40 and any phase with noise of deviation 0.1, in the
///                  second half. Always 0: 1/2 + 0.01; nothing can be better than the noise, 0.01.
const std::vector<std::string>& synthetic_task_names();

/// `steps` 0: as many as the task is usually tried with. Throws ValueError for another name or too few steps.
SyntheticTask synthetic_task(const std::string& name, Index steps = 0);

}  // namespace unroll::inline UNROLL_ISA
