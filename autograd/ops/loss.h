#pragma once

#include <unroll/autograd/ops/elementwise.h>
#include <unroll/autograd/ops/layout.h>
#include <unroll/autograd/ops/linalg.h>
#include <unroll/autograd/ops/reduce.h>

namespace unroll::inline UNROLL_ISA {

/// What a loss makes of the losses of all rows: their mean, their sum, or itself one of each row (0 for padding).
enum class Reduction : std::uint8_t { mean, sum, none };

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
                            const CrossEntropyOptions& options, Transposed transposed);

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

/// Cross entropy of logits [..., classes] with the class of each row, in nats: by default a scalar, the mean over
/// the rows that are not ignored, weighted by the weight of their class. With smoothing s the target distribution
/// is 1 - s on the class and s / classes on all (Szegedy et al. 2016, sec. 7).
/// Throws IndexError for a class out of range and ValueError when there is no row to average over.
template <Operand X>
auto cross_entropy(const X& logits, std::span<const std::int32_t> targets, const CrossEntropyOptions& options = {}) {
  return detail::cross_entropy(as_var(logits), targets, options);
}

/// cross_entropy(h weight + bias, targets) with less memory: the logits of a block of classes at a time become
/// exponentials, which are kept up to 64 MB and above that computed again in backward. h is [..., width], weight
/// [width, classes], bias [classes]. With `transposed.b` the weight is [classes, width], as the table of an embedding
/// is.
template <Operand H, Operand W, Operand B>
auto linear_cross_entropy(const H& h, const W& weight, const B& bias, std::span<const std::int32_t> targets,
                          const CrossEntropyOptions& options = {}, Transposed transposed = {}) {
  const auto [x, w, b] = on_one_tape(h, weight, bias);
  return detail::linear_cross_entropy(x, w, b, targets, options, transposed);
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

namespace detail {

/// Throws unless each of `lengths` fits a loss [time, batch]; returns their sum. Throws ValueError if that is 0.
template <Real T>
Index count_steps(const Tape<T>& tape, const Shape& shape, std::span<const Index> lengths, const char* op) {
  tape.template require<ShapeError>(shape.rank() == 2 && shape[1] == static_cast<Index>(lengths.size()),
                                    "{}: {} lengths for a loss {}", op, lengths.size(), shape);
  Index count = 0;
  for (const Index n : lengths) {
    tape.template require<ShapeError>(n >= 0 && n <= shape[0], "{}: length {} for a loss {}", op, n, shape);
    count += n;
  }
  tape.template require<ValueError>(count > 0, "{}: every step is padding", op);
  return count;
}

}  // namespace detail

/// Mean of a loss [time, batch] over the valid steps. What lies in the padding is never read into the result.
template <Operand X>
auto masked_mean(const X& loss, std::span<const Index> lengths) {
  const auto v = as_var(loss);
  auto& tape = v.tape();
  const Index count = detail::count_steps(tape, v.shape(), lengths, "masked_mean");
  return as_var(sum(where(length_mask(tape, lengths, v.shape()[0]), v, 0)) * (1.0 / static_cast<double>(count)));
}

/// Mean over the sequences of the mean of each one's own valid steps, of a loss [time, batch]: a short sequence counts
/// as much as a long one, which in masked_mean it does not. Sequences of no step are left out. Padding is never read.
template <Operand X>
auto sequence_mean(const X& loss, std::span<const Index> lengths) {
  using T = typename X::scalar;
  const auto v = as_var(loss);
  auto& tape = v.tape();
  detail::count_steps(tape, v.shape(), lengths, "sequence_mean");
  const auto sequences = static_cast<T>(std::ranges::count_if(lengths, [](Index n) { return n > 0; }));
  const std::span<T> shares = tape.template room<T>(static_cast<Index>(lengths.size()));
  for (std::size_t b = 0; b < shares.size(); ++b)
    shares[b] = lengths[b] > 0 ? 1 / (sequences * static_cast<T>(lengths[b])) : T(0);
  return as_var(sum(where(length_mask(tape, lengths, v.shape()[0]), v, 0) *
                    tape.constant(Shape{static_cast<Index>(shares.size())}, shares)));
}

}  // namespace unroll::inline UNROLL_ISA
