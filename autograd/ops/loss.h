#pragma once

#include <unroll/autograd/ops/elementwise.h>
#include <unroll/autograd/ops/layout.h>
#include <unroll/autograd/ops/reduce.h>

namespace unroll::inline UNROLL_ISA {

enum class Reduction : std::uint8_t { mean, sum };

struct CrossEntropyOptions {
  std::int32_t ignore = -1;              // this target has no loss: padding
  std::span<const double> weights = {};  // one per class; empty: all 1
  double smoothing = 0;                  // share of the target's mass that is spread over all classes
  Reduction reduction = Reduction::mean;
};

namespace detail {

template <Real T>
Var<T> cross_entropy(Var<T> logits, std::span<const std::int32_t> targets, const CrossEntropyOptions& options);
template <Real T>
Var<T> linear_cross_entropy(Var<T> h, Var<T> weight, Var<T> bias, std::span<const std::int32_t> targets,
                            const CrossEntropyOptions& options);

struct HuberRule {
  static constexpr const char* name = "huber";
  double delta;
  template <class V>
  V forward(V x) const {
    const V d = V(scalar_t<V>(delta)), size = math::abs(x);
    return math::select(size < d, V(0.5) * x * x, d * (size - V(0.5) * d));
  }
  template <class V>
  V backward(V dy, V x, V) const {
    const V d = V(scalar_t<V>(delta));
    return dy * math::max(-d, math::min(x, d));
  }
};

}  // namespace detail

/// Cross entropy of logits [..., classes] with the class of each row, in nats: a scalar, by default the mean over
/// the rows that are not ignored, weighted by the weight of their class. With smoothing s the target distribution
/// is 1 - s on the class and s / classes on all (Szegedy et al. 2016, sec. 7).
/// Throws IndexError for a class out of range and ValueError when every row is ignored.
template <Operand X>
auto cross_entropy(const X& logits, std::span<const std::int32_t> targets, const CrossEntropyOptions& options = {}) {
  return detail::cross_entropy(as_var(logits), targets, options);
}

/// cross_entropy(h weight + bias, targets) with less memory: the logits of a few rows at a time become their gradient,
/// which is kept up to 64 MB and above that computed again in backward. h is [..., width], weight [width, classes],
/// bias [classes].
template <Operand H, Operand W, Operand B>
auto linear_cross_entropy(const H& h, const W& weight, const B& bias, std::span<const std::int32_t> targets,
                          const CrossEntropyOptions& options = {}) {
  const auto [x, w, b] = on_one_tape(h, weight, bias);
  return detail::linear_cross_entropy(x, w, b, targets, options);
}

/// Mean over all elements of the binary cross entropy of logits x with targets t in 0 .. 1, without overflow:
/// log(1 + e^x) - x t.
template <Operand X, Operand Y>
auto binary_cross_entropy(const X& logits, const Y& targets) {
  const auto [x, t] = on_one_tape(logits, targets);
  return mean(softplus(x) - x * t);
}

/// Mean squared error.
template <Operand X, Operand Y>
auto mse(const X& x, const Y& target) {
  return mean(square(x - target));
}

/// Mean of the Huber loss: quadratic up to delta, linear beyond (Huber 1964).
template <Operand X, Operand Y>
auto huber(const X& x, const Y& target, double delta = 1) {
  require<ValueError>(delta > 0, "huber: delta {} is not positive", delta);
  return mean(apply(detail::HuberRule{delta}, x - target));
}

/// Mean negative log likelihood: -log_probabilities[..., target] over all rows.
template <Operand X>
auto nll(const X& log_probabilities, std::span<const std::int32_t> targets) {
  return mean(-pick(log_probabilities, targets));
}

/// 1 for the first lengths[b] steps of row b, else 0: [time, batch].
template <Real T>
Var<T> length_mask(Tape<T>& tape, std::span<const Index> lengths, Index time) {
  const auto batch = static_cast<Index>(lengths.size());
  std::span<T> mask = tape.template room<T>(time * batch);
  for (Index t = 0; t < time; ++t)
    for (Index b = 0; b < batch; ++b)
      mask[static_cast<std::size_t>(t * batch + b)] = t < lengths[static_cast<std::size_t>(b)] ? T(1) : T(0);
  return tape.constant(Shape{time, batch}, mask);
}

/// Mean of a loss [time, batch] over the valid steps. What lies in the padding is never read into the result.
template <Operand X>
auto masked_mean(const X& loss, std::span<const Index> lengths) {
  const auto v = as_var(loss);
  const Shape shape = v.shape();
  auto& tape = v.tape();
  tape.template require<ShapeError>(shape.rank() == 2 && shape[1] == static_cast<Index>(lengths.size()),
                                    "masked_mean: {} lengths for a loss {}", lengths.size(), shape);
  Index count = 0;
  for (const Index n : lengths) {
    tape.template require<ShapeError>(n >= 0 && n <= shape[0], "masked_mean: length {} for a loss {}", n, shape);
    count += n;
  }
  tape.template require<ValueError>(count > 0, "masked_mean: every step is padding");
  return as_var(sum(where(length_mask(tape, lengths, shape[0]), v, 0)) * (1.0 / static_cast<double>(count)));
}

}  // namespace unroll::inline UNROLL_ISA
