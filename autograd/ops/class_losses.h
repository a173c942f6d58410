#pragma once

#include <unroll/autograd/ops/loss.h>

// Losses of labels that do not exclude each other, of classes of which few are common, and of whole sequences.

namespace unroll::inline UNROLL_ISA {

struct MultiLabelOptions {
  std::span<const double> positive_weights = {};  // one per label: counts its loss where it is present; empty: all 1
  Reduction reduction = Reduction::mean;
};

struct BinaryFocalOptions {
  double gamma = 2;     // 0: weighted cross entropy
  double alpha = 0.25;  // weight of labels that are present; those absent have 1 - alpha
  Reduction reduction = Reduction::mean;
};

struct FocalOptions {
  double gamma = 2;
  std::span<const double> alpha = {};  // one per class; empty: all 1
  std::int32_t ignore = -1;            // this target has no loss: padding
  Reduction reduction = Reduction::mean;
};

namespace detail {

template <Real T>
Var<T> multi_label_cross_entropy(Var<T> logits, std::span<const std::uint8_t> labels, std::span<const Index> lengths,
                                 const MultiLabelOptions& options);
template <Real T>
Var<T> binary_focal(Var<T> logits, std::span<const std::uint8_t> labels, std::span<const Index> lengths,
                    const BinaryFocalOptions& options);
template <Real T>
Var<T> focal(Var<T> logits, std::span<const std::int32_t> targets, const FocalOptions& options);
template <Real T>
Var<T> sequence_cross_entropy(Var<T> logits, std::span<const std::int32_t> targets, std::span<const Index> lengths,
                              const CrossEntropyOptions& options);

}  // namespace detail

/// Cross entropy of logits [..., labels] with labels that are each there (1) or not (0), in nats:
/// log(1 + e^x) - x where it is, times its weight, and log(1 + e^x) where it is not; summed over the labels, and by
/// default averaged over the rows. Of a piano roll [time, batch, notes] that is the negative log likelihood of a step
/// (Boulanger-Lewandowski, Bengio and Vincent 2012). With `lengths`, of a sequence, padding is not read.
/// Throws ValueError for a label that is neither 0 nor 1 and when there is no row to average over.
template <Operand X>
auto multi_label_cross_entropy(const X& logits, std::span<const std::uint8_t> labels,
                               std::span<const Index> lengths = {}, const MultiLabelOptions& options = {}) {
  return detail::multi_label_cross_entropy(as_var(logits), labels, lengths, options);
}

/// Focal loss of labels that are each there or not, -alpha_t (1 - p_t)^gamma log p_t with p_t the probability of what
/// is so (Lin et al. 2017, eq. 5): what is easily told counts little. Operands, sum and mean are those of
/// multi_label_cross_entropy. Throws ValueError, too, for gamma below 0 and alpha outside of 0 .. 1.
template <Operand X>
auto binary_focal(const X& logits, std::span<const std::uint8_t> labels, std::span<const Index> lengths = {},
                  const BinaryFocalOptions& options = {}) {
  return detail::binary_focal(as_var(logits), labels, lengths, options);
}

/// Focal loss of logits [..., classes] with the class t of each row, -alpha_t (1 - p_t)^gamma log p_t with
/// p = softmax(x); by default the mean over the rows that are not ignored, whatever their alpha.
/// Throws IndexError for a class out of range and ValueError for gamma or alpha below 0 and when there is no row to
/// average over.
template <Operand X>
auto focal(const X& logits, std::span<const std::int32_t> targets, const FocalOptions& options = {}) {
  return detail::focal(as_var(logits), targets, options);
}

/// Mean over the sequences of a batch of the mean cross entropy of each one's own steps, of logits
/// [time, batch, classes]: see sequence_mean. A step counts if it lies within `lengths`, where given, and its target is
/// not the ignored one; sequences of no such step are left out. Throws as cross_entropy; the reduction is this one.
template <Operand X>
auto sequence_cross_entropy(const X& logits, std::span<const std::int32_t> targets, std::span<const Index> lengths = {},
                            const CrossEntropyOptions& options = {}) {
  return detail::sequence_cross_entropy(as_var(logits), targets, lengths, options);
}

}  // namespace unroll::inline UNROLL_ISA
