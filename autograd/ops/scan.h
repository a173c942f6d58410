#pragma once

#include <unroll/autograd/ops/formula.h>

// Linear recurrences over all steps of a batch in one op: the only place where a recurrence is not unrolled. Rows of a
// sequence lie step by step; rows that end earlier come later, so that step t has the first alive[t] of them.

namespace unroll::inline UNROLL_ISA {

/// How the rows of a packed sequence lie.
struct ScanSteps {
  std::span<const Index> alive;    // [steps] rows of step t, falling
  std::span<const Index> offsets;  // [steps] where step t starts
  Index count() const { return static_cast<Index>(alive.size()); }
};

namespace detail {
template <Real T>
Var<T> linear_scan(Var<T> a, Var<T> b, Var<T> start, const ScanSteps& steps);
template <Real T>
Var<T> last_rows(Var<T> rows, Var<T> start, const ScanSteps& steps);
template <Real T>
Var<T> previous_rows(Var<T> rows, Var<T> start, const ScanSteps& steps);
}  // namespace detail

/// h_t = a_t h_{t-1} + b_t for all steps, with h_{-1} = start [batch, width]; a, b and the result are [rows, width].
template <Operand A, Operand B, Operand S>
auto linear_scan(const A& a, const B& b, const S& start, const ScanSteps& steps) {
  const auto [x, y, s] = on_one_tape(a, b, start);
  return detail::linear_scan(x, y, s, steps);
}

/// The row of each row's last step; that of `start` where it has none.
template <Operand X, Operand S>
auto last_rows(const X& rows, const S& start, const ScanSteps& steps) {
  const auto [x, s] = on_one_tape(rows, start);
  return detail::last_rows(x, s, steps);
}

/// At each step the row of the step before it; that of `start` at the first.
template <Operand X, Operand S>
auto previous_rows(const X& rows, const S& start, const ScanSteps& steps) {
  const auto [x, s] = on_one_tape(rows, start);
  return detail::previous_rows(x, s, steps);
}

}  // namespace unroll::inline UNROLL_ISA
