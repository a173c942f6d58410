#pragma once

#include <unroll/autograd/ops/formula.h>

// What attention does with a source of [batch, time, ...] at each step. `lengths`, one per row, are how many of its
// steps are valid; what lies behind them is neither read nor given a gradient. No lengths: all steps.

namespace unroll::inline UNROLL_ISA {
namespace detail {
template <Real T>
Var<T> additive_scores(Var<T> keys, Var<T> query, Var<T> v, std::span<const Index> lengths);
template <Real T>
Var<T> dot_scores(Var<T> keys, Var<T> query, std::span<const Index> lengths);
template <Real T>
Var<T> weighted_sum(Var<T> weights, Var<T> values, std::span<const Index> lengths);
template <Real T>
Var<T> sliding_windows(Var<T> x, Index size);
}  // namespace detail

/// y[b, t] = v . tanh(keys[b, t] + query[b]), for keys [batch, time, units], query [batch, units] and v [units]; behind
/// the end of a row -infinity. tanh is computed again in backward, so that a step keeps [batch, time] and no units.
template <Operand K, Operand Q, Operand V>
auto additive_scores(const K& keys, const Q& query, const V& v, std::span<const Index> lengths = {}) {
  const auto [k, q, w] = on_one_tape(keys, query, v);
  return detail::additive_scores(k, q, w, lengths);
}

/// y[b, t] = keys[b, t] . query[b], for keys [batch, time, units] and query [batch, units]; behind the end of a row
/// -infinity.
template <Operand K, Operand Q>
auto dot_scores(const K& keys, const Q& query, std::span<const Index> lengths = {}) {
  const auto [k, q] = on_one_tape(keys, query);
  return detail::dot_scores(k, q, lengths);
}

/// y[b] = sum over t of weights[b, t] values[b, t], for weights [batch, time] and values [batch, time, width].
template <Operand W, Operand X>
auto weighted_sum(const W& weights, const X& values, std::span<const Index> lengths = {}) {
  const auto [w, v] = on_one_tape(weights, values);
  return detail::weighted_sum(w, v, lengths);
}

/// y[..., t, j] = x[..., t + j - size / 2], zero outside: the windows of a centred convolution, [..., time] to
/// [..., time, size].
template <Operand X>
auto sliding_windows(const X& x, Index size) {
  return detail::sliding_windows(as_var(x), size);
}

}  // namespace unroll::inline UNROLL_ISA
