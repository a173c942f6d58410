#pragma once

#include <vector>

#include <unroll/autograd/ops/loss.h>

namespace unroll::inline UNROLL_ISA {

/// For each row of a batch a list of labels, which may be empty.
using Labels = std::vector<std::vector<std::int32_t>>;

/// What becomes of a row whose target no alignment can produce: with a blank between equal neighbours it is longer than
/// its sequence.
enum class Infeasible : std::uint8_t {
  infinite,  // its loss, and with it that of the batch, is infinite; it has no gradient
  zero,      // it has no loss, and no gradient
  refuse     // ValueError
};

struct CtcOptions {
  std::int32_t blank = 0;
  Infeasible infeasible = Infeasible::infinite;
  Reduction reduction = Reduction::mean;  // the mean over rows of the loss per label, or the sum of the losses
};

namespace detail {
template <Real T>
Var<T> ctc_loss(Var<T> logits, const Labels& targets, std::span<const Index> lengths, const CtcOptions& options);
}  // namespace detail

/// Connectionist temporal classification (Graves, Fernandez, Gomez and Schmidhuber 2006, sec. 4), in nats: minus the
/// logarithm of the probability that all alignments of a row's target with its sequence have together, by dynamic
/// programming on logarithms. logits are [time, batch, classes], of which each step's softmax is taken; `lengths` are
/// how many steps of each row are valid, what lies behind them is not read. An empty target has one alignment, of
/// blanks alone; its loss counts as that of one label.
/// Throws IndexError for a label that is no class or is the blank, and ShapeError for lengths that do not fit.
template <Operand X>
auto ctc_loss(const X& logits, const Labels& targets, std::span<const Index> lengths = {},
              const CtcOptions& options = {}) {
  return detail::ctc_loss(as_var(logits), targets, lengths, options);
}

}  // namespace unroll::inline UNROLL_ISA
