#pragma once

#include <cstdint>
#include <span>

#include <unroll/autograd/tensor/rng.h>

namespace unroll::inline UNROLL_ISA {

/// How a symbol is drawn from logits.
struct SamplingOptions {
  double temperature = 1;  // logits are divided by it; 0: the likeliest symbol
  Index top_k = 0;         // only the k likeliest (Fan, Lewis and Dauphin 2018, sec. 4); 0: all
  double top_p = 1;        // only the fewest likeliest whose share reaches p (Holtzman et al. 2020, eq. 2)
};

/// Throws ValueError unless temperature >= 0, top_k >= 0 and 0 < top_p <= 1.
void check_sampling(const SamplingOptions& options);

/// Draws a symbol with probability softmax(logits / temperature) among those that top_k, and of them top_p, leave, made
/// to sum to 1. Of equal logits the lower symbol is the likelier one. A logit of -infinity is a symbol that is never
/// drawn. One number is taken from `rng`, none at temperature 0. Throws ValueError where a logit is NaN or +infinity,
/// or all are -infinity.
template <Real T>
std::int32_t draw(std::span<const T> logits, const SamplingOptions& options, Rng& rng);

namespace detail {
/// The same for a number u, uniform in [0, 1), and logits that were checked.
template <Real T>
std::int32_t draw_at(std::span<const T> logits, const SamplingOptions& options, double u);
}  // namespace detail

}  // namespace unroll::inline UNROLL_ISA
