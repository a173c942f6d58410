#pragma once

#include <unroll/autograd/ops/formula.h>

// Ops that draw from the tape's random source. Their place in its sequence is fixed when they are written, so
// that computing the same program again from the same position draws the same numbers.

namespace unroll::inline UNROLL_ISA {
namespace detail {
template <Real T>
Var<T> dropout(Var<T> x, double rate, Rng& rng);
template <Real T>
Var<T> gaussian_noise(Var<T> x, double deviation);
}  // namespace detail

/// Zeroes each element with probability `rate` and scales the others by 1 / (1 - rate) (Srivastava et al. 2014);
/// the identity on an inference tape. Throws ValueError unless 0 <= rate < 1.
template <Operand X>
auto dropout(const X& x, double rate) {
  const auto v = as_var(x);
  return detail::dropout(v, rate, v.tape().rng());
}
/// The same with numbers from `rng`.
template <Operand X>
auto dropout(const X& x, double rate, Rng& rng) {
  return detail::dropout(as_var(x), rate, rng);
}

/// x plus normal noise of the given standard deviation; the identity on an inference tape.
template <Operand X>
auto gaussian_noise(const X& x, double deviation) {
  return detail::gaussian_noise(as_var(x), deviation);
}

}  // namespace unroll::inline UNROLL_ISA
