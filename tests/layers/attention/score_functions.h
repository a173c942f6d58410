#pragma once

#include <layers/attention/attentions.h>

namespace unroll {

/// Weights and context by loops over the valid steps, where score(b, t) is that of step t of row b.
template <class F>
std::pair<Tensor<double>, Tensor<double>> attend_by_hand(const Tensor<double>& source,
                                                         const std::vector<Index>& lengths, F score) {
  const Shape s = shape_of(source);
  Tensor<double> weights = make_tensor<double>({s[1], s[0]}, 0.0), context = make_tensor<double>({s[1], s[2]}, 0.0);
  for (Index b = 0; b < s[1]; ++b) {
    const Index n = lengths[static_cast<std::size_t>(b)];
    double total = 0;
    for (Index t = 0; t < n; ++t) total += std::exp(score(b, t));
    for (Index t = 0; t < n; ++t) {
      const double w = weights.data()[b * s[0] + t] = std::exp(score(b, t)) / total;
      for (Index i = 0; i < s[2]; ++i) context.data()[b * s[2] + i] += w * at(source, {t, b, i});
    }
  }
  return {weights, context};
}

}  // namespace unroll
