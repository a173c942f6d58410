#pragma once

#include <unroll/autograd/ops/loss.h>
#include <unroll/layers/init.h>
#include <unroll/layers/model.h>

namespace unroll::inline UNROLL_ISA {

/// Distinct classes of 0 .. classes - 1, with how probable it was that each is among them.
struct SampledClasses {
  std::vector<std::int32_t> ids;
  std::vector<double> probabilities;
};

/// `samples` distinct classes, in order, class k being among them with a probability proportional to
/// log((k + 2) / (k + 1)), which is Zipf's law for classes ordered by falling frequency, or with 1 where that would be
/// above it: all of the most frequent ones. Systematic sampling (Madow 1949): one number is drawn, and the cost does
/// not depend on `classes`. Throws ValueError unless both are positive; no more are drawn than there are.
SampledClasses sample_log_uniform(Index classes, Index samples, Rng& rng);

/// A softmax over very many classes, ordered by falling frequency, that is trained on a sample of them (Bengio and
/// Senecal 2003; Jean et al. 2015, section 3). With S drawn by sample_log_uniform, class k with probability q_k, the
/// loss of a row with target t is
///   log(e^x_t + sum over k in S, k not t, of e^(x_k - log q_k)) - x_t,   x = h weight^T + bias
/// whose sum has the expectation of that of all classes; the target is always there, so its logit is not corrected.
/// One sample serves all rows of a call; gradients go to the rows of `weight` that are in it or are targets, and
/// nothing costs more for there being more classes.
template <Real T = float>
struct SampledSoftmax {
  Index samples;
  Parameter<T> weight;  // [classes, in]
  Parameter<T> bias;    // [classes, 1]

  /// Initial values as Linear, of the bias zero. Throws ValueError unless all three are positive.
  SampledSoftmax(Index in, Index classes, Index samples, Rng& rng);

  /// The loss of rows h [..., in], in nats; target -1 has none, and its row is not read. Exact if the sample is of all
  /// classes. Throws IndexError for a class out of range and ValueError when there is no row to average over.
  Var<T> loss(Var<T> h, std::span<const std::int32_t> targets, Rng& rng, Reduction reduction = Reduction::mean) const;
  /// The cross entropy over all classes, to measure by: its cost grows with their number.
  Var<T> full_loss(Var<T> h, std::span<const std::int32_t> targets, Reduction reduction = Reduction::mean) const;
  /// Logarithms of the probabilities of all classes: [..., in] to [..., classes].
  Var<T> log_probabilities(Var<T> h) const;

  static void fields(auto& m, auto&& f) { f("weight", m.weight), f("bias", m.bias); }

 private:
  Var<T> logits(Var<T> h) const;
};

extern template struct SampledSoftmax<float>;
extern template struct SampledSoftmax<double>;

}  // namespace unroll::inline UNROLL_ISA
