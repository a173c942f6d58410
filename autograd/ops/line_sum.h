#pragma once

#include <array>
#include <cmath>
#include <limits>

#include <unroll/autograd/tensor/exponential.h>

// What softmax, its logarithm and the losses know of a line of logits.

namespace unroll::inline UNROLL_ISA {
namespace detail {

/// The sum of exp(x - largest); each term goes to `to` if that is not null, which may be x. `largest` is finite and
/// none of x is above it, or the result may be NaN.
template <Real T>
T sum_of_exponentials(const T* x, Index n, T largest, T* to = nullptr) {
  constexpr Index w = lanes<T>;
  constexpr auto size = static_cast<std::size_t>(w);
  const auto term = [largest](const T* at) __attribute__((always_inline)) {
    return math::exp(Batch<T>::load_unaligned(at) - Batch<T>(largest));
  };
  if (n < w) {
    std::array<T, size> padded;
    padded.fill(-std::numeric_limits<T>::infinity());
    std::copy_n(x, n, padded.begin());
    const Batch<T> e = term(padded.data());
    e.store_unaligned(padded.data());
    if (to != nullptr) std::copy_n(padded.begin(), n, to);
    return simd::total(e);
  }
  // The last register overlaps the one before it: only what is new in it is added.
  const Index rest = n % w;
  static constexpr auto zeros_ones = [] {
    std::array<T, 2 * size> result{};
    std::fill(result.begin() + size, result.end(), T(1));
    return result;
  }();
  const Batch<T> last = rest == 0 ? Batch<T>(T(0)) : term(x + n - w);
  Batch<T> partial = last * Batch<T>::load_unaligned(zeros_ones.data() + rest);
  const auto add = [&](Index i, const Batch<T>& e) __attribute__((always_inline)) {
    if (to != nullptr) e.store_unaligned(to + i);
    partial += e;
  };
  Index i = 0;
  for (; i + 2 * w <= n; i += 2 * w) {
    const Batch<T> e = term(x + i), after = term(x + i + w);
    add(i, e);
    add(i + w, after);
  }
  if (i + w <= n) add(i, term(x + i));
  if (to != nullptr && rest != 0) last.store_unaligned(to + n - w);
  return simd::total(partial);
}

/// The largest element of a line and the log of the sum of e^(v - largest). Apart, because their sum has rounded away
/// what softmax needs when the largest is large.
template <Real T>
struct LineSum {
  T largest, log_total;
  T logsumexp() const { return largest + log_total; }
  /// log(e^x / sum), of an element or of a register of them.
  template <class V>
  V log_share(V x) const {
    return (x - V(largest)) - V(log_total);
  }
};

/// Where the largest is not finite (NaN if there is one, -infinity of nothing) log_total is 0.
template <Real T>
LineSum<T> line_sum(const T* x, Index n) {
  const T largest = simd::max(x, n);
  if (!std::isfinite(largest)) return {largest, 0};
  return {largest, std::log(sum_of_exponentials(x, n, largest))};
}

}  // namespace detail
}  // namespace unroll::inline UNROLL_ISA
