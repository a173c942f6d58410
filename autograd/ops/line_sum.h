#pragma once

#include <array>
#include <cmath>
#include <limits>

#include <unroll/autograd/tensor/exponential.h>

// What softmax, its logarithm and the losses know of a line of logits.

namespace unroll::inline UNROLL_ISA {
namespace detail {

/// The sum of exp(x - largest); each term goes to `to` if that is not null, which may be x.
template <Real T>
T sum_of_exponentials(const T* x, Index n, T largest, T* to = nullptr) {
  Batch<T> partial(T(0));
  Index i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) {
    const Batch<T> e = math::exp(Batch<T>::load_unaligned(x + i) - Batch<T>(largest));
    if (to != nullptr) e.store_unaligned(to + i);
    partial += e;
  }
  if (i < n) {
    std::array<T, static_cast<std::size_t>(lanes<T>)> rest;
    rest.fill(-std::numeric_limits<T>::infinity());
    std::copy(x + i, x + n, rest.begin());
    const Batch<T> e = math::exp(Batch<T>::load_unaligned(rest.data()) - Batch<T>(largest));
    partial += e;
    e.store_unaligned(rest.data());
    if (to != nullptr) std::copy_n(rest.begin(), n - i, to + i);
  }
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
