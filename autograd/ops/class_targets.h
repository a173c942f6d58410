#pragma once

#include <unroll/autograd/ops/loss.h>

// What cross entropy makes of the classes of rows, whether their logits are there as a whole or not.

namespace unroll::inline UNROLL_ISA {
namespace detail {

/// How much each class of each row counts, and how logits give loss and gradient.
template <Real T>
struct Targets {
  std::span<const std::int32_t> ids;
  std::span<const T> weights;  // empty: all 1
  T smoothing;
  std::int32_t ignore;
  T classes, weight_sum;  // how many there are, and the sum of their weights
  T scale;                // 1 / sum of the weights of the counted rows, or 1
  bool each;              // the result is the loss of each row

  T weight(Index c) const { return weights.empty() ? T(1) : weights[static_cast<std::size_t>(c)]; }

  /// The share of the unscaled loss of a row that the logits x of classes first .. first + count have in it without
  /// the logarithm of the sum: the loss is the sum of all, and `mass_of(row)` times the row's logsumexp. Never inlined,
  /// so that training and inference round alike.
  [[gnu::noinline]] T loss_without_lse(const T* x, Index first, Index count, Index row) const {
    const Index id = ids[static_cast<std::size_t>(row)] - first;
    T result = id >= 0 && id < count ? (1 - smoothing) * weight(first + id) * x[id] : T(0);
    if (smoothing > 0) {
      T spread = 0;
      for (Index c = 0; c < count; ++c) spread += weight(first + c) * x[c];
      result += smoothing / classes * spread;
    }
    return -result;
  }
  T mass_of(Index row) const {
    const std::int32_t id = ids[static_cast<std::size_t>(row)];
    return (1 - smoothing) * weight(id) + smoothing / classes * weight_sum;
  }
  /// The gradient of the logits of classes first .. first + count from their probabilities, which are e times `share`;
  /// `seed`: the gradient of the unscaled loss. d may be e.
  void differentiate(const T* e, T* d, Index first, Index count, Index row, T seed, T share) const {
    simd::map(e, d, count, [scale = seed * mass_of(row) * share](auto v) { return decltype(v)(scale) * v; });
    const Index id = ids[static_cast<std::size_t>(row)] - first;
    if (id >= 0 && id < count) d[id] -= seed * (1 - smoothing) * weight(first + id);
    if (smoothing > 0)
      for (Index c = 0; c < count; ++c) d[c] -= seed * smoothing / classes * weight(first + c);
  }
  bool counts(Index row) const { return ids[static_cast<std::size_t>(row)] != ignore; }
  /// The gradient of the loss of a row, less the scale, from that of the result.
  T seed(const T* dy, Index row) const { return each ? dy[row] : *dy; }
};

/// Where the losses of rows go: into one result, or each into its own.
template <Real T>
struct Losses {
  const Targets<T>& targets;
  T* y;
  double total = 0;

  void add(Index row, T loss) {
    if (targets.each) y[row] = loss;
    total += static_cast<double>(loss);
  }
  void finish() const {
    if (!targets.each) *y = static_cast<T>(total * static_cast<double>(targets.scale));
  }
};

template <Real T>
Targets<T> check_targets(Tape<T>& tape, Index rows, Index classes, std::span<const std::int32_t> targets,
                         const CrossEntropyOptions& options, const Shape& shape) {
  tape.template require<ShapeError>(rows == static_cast<Index>(targets.size()),
                                    "cross_entropy: {} targets for logits {}", targets.size(), shape);
  tape.template require<ShapeError>(options.weights.empty() || static_cast<Index>(options.weights.size()) == classes,
                                    "cross_entropy: {} weights for {} classes", options.weights.size(), classes);
  tape.template require<ValueError>(options.smoothing >= 0 && options.smoothing <= 1,
                                    "cross_entropy: the smoothing {} is not in 0 .. 1", options.smoothing);
  const std::span<T> weights = tape.template room<T>(static_cast<Index>(options.weights.size()));
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<T>(options.weights[i]);
  const auto all = static_cast<T>(classes);
  Targets<T> result{tape.keep(targets),
                    weights,
                    static_cast<T>(options.smoothing),
                    options.ignore,
                    all,
                    all,
                    T(1),
                    options.reduction == Reduction::none};
  if (!weights.empty()) result.weight_sum = simd::sum(weights.data(), classes);
  double total = 0;
  bool any = false;
  for (std::size_t r = 0; r < targets.size(); ++r) {
    if (targets[r] == options.ignore) continue;
    tape.template require<IndexError>(targets[r] >= 0 && targets[r] < classes,
                                      "cross_entropy: class {} of row {} is outside 0 .. {}", targets[r], r,
                                      classes - 1);
    total += static_cast<double>(result.weight(targets[r]));
    any = true;
  }
  if (options.reduction == Reduction::mean) {
    tape.template require<ValueError>(any, "cross_entropy: there is no target to average over");
    tape.template require<ValueError>(total > 0, "cross_entropy: the weights of all targets are zero");
    result.scale = static_cast<T>(1 / total);
  }
  return result;
}

}  // namespace detail
}  // namespace unroll::inline UNROLL_ISA
