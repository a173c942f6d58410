#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include <unroll/layers/decoding/decoder_step.h>

// A model whose next symbol depends on all symbols before, in their order, and one that can be walked through in full.

namespace unroll {

/// Its state is one number, mixed anew from each symbol. Symbols from `allowed` on are forbidden. Its attention weights
/// over `source` positions come from the same number.
struct HistoryModel {
  Index vocabulary = 4, allowed = 4, source = 0;
  double sharpness = 2;

  static double mix(double state, std::int32_t token) {
    const double x = std::sin(12.9898 * state + 78.233 * (token + 1)) * 43758.5453;
    return x - std::floor(x);
  }
  std::vector<double> logits(double state) const {
    std::vector<double> result(static_cast<std::size_t>(vocabulary), -std::numeric_limits<double>::infinity());
    for (Index v = 0; v < allowed; ++v)
      result[static_cast<std::size_t>(v)] = sharpness * std::sin(40 * state + 5 * static_cast<double>(v));
    return result;
  }
  std::vector<double> log_softmax(double state) const {
    std::vector<double> x = logits(state);
    double sum = 0;
    for (const double v : x) sum += std::exp(v);
    for (double& v : x) v -= std::log(sum);
    return x;
  }
  std::vector<double> attention(double state) const {
    std::vector<double> weights;
    double sum = 0;
    for (Index i = 0; i < source; ++i) {
      weights.push_back(std::exp(3 * std::sin(9 * state + 2 * static_cast<double>(i))));
      sum += weights.back();
    }
    for (double& w : weights) w /= sum;
    return weights;
  }

  template <Real T>
  DecoderOutput<T, Var<T>> operator()(Tape<T>& tape, std::span<const std::int32_t> tokens, const Var<T>& state) const {
    const auto rows = static_cast<Index>(tokens.size());
    std::vector<T> next, scores, weights;
    for (Index r = 0; r < rows; ++r) {
      const double s = mix(static_cast<double>(values(state).row(r)[0]), tokens[static_cast<std::size_t>(r)]);
      next.push_back(static_cast<T>(s));
      for (const double x : logits(s)) scores.push_back(static_cast<T>(x));
      for (const double w : attention(s)) weights.push_back(static_cast<T>(w));
    }
    return {tape.constant({rows, vocabulary}, scores), tape.constant({rows, 1}, next),
            source == 0 ? Var<T>{} : tape.constant({rows, source}, weights)};
  }
};

}  // namespace unroll
