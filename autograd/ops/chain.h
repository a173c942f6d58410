#pragma once

#include <unroll/autograd/ops/scan.h>

// Linear chains of labels (Lafferty, McCallum and Pereira 2001). The score of a path y of labels through a row is
//   start(y_0) + sum_t emission_t(y_t) + sum_t transition(y_t-1, y_t) + end(y_last),
// and the probability of a path is proportional to the exponential of its score. Emissions are [rows, labels] and lie
// step by step as for scan_rows; transitions [labels, labels] go from the first axis to the second; start and end are
// [labels]. A score of -infinity forbids: it gets no gradient. Forward and backward passes are one op (Rabiner 1989,
// sec. III), in logarithms where it matters: scores of any size are safe. A row that no path leads through has the sum
// -infinity and no gradient. All throw ShapeError when the extents do not fit.

namespace unroll::inline UNROLL_ISA {
namespace detail {

template <Real T>
struct ChainOperands {
  Var<T> emissions, transitions, start, end;
  ScanSteps steps;
};
template <Real T>
Var<T> chain_log_partition(const ChainOperands<T>& chain);
template <Real T>
Var<T> chain_score(const ChainOperands<T>& chain, std::span<const std::int32_t> labels);
template <Real T>
Var<T> chain_nll(const ChainOperands<T>& chain, std::span<const std::int32_t> labels);
template <Real T>
Var<T> chain_marginals(const ChainOperands<T>& chain);
template <Real T>
Var<T> chain_entropy(const ChainOperands<T>& chain);

template <class E, class A, class S, class Z>
auto chain_operands(const E& emissions, const A& transitions, const S& start, const Z& end, const ScanSteps& steps) {
  const auto [x, a, s, e] = on_one_tape(emissions, transitions, start, end);
  return ChainOperands<typename E::scalar>{x, a, s, e, steps};
}

}  // namespace detail

/// The logarithm of the sum over all paths of the exponential of their score, of each row: [batch].
template <Operand E, Operand A, Operand S, Operand Z>
auto chain_log_partition(const E& emissions, const A& transitions, const S& start, const Z& end,
                         const ScanSteps& steps) {
  return detail::chain_log_partition(detail::chain_operands(emissions, transitions, start, end, steps));
}

/// The score of one path of each row: [batch]. `labels` are those of the rows of the emissions. Throws IndexError for
/// one out of range.
template <Operand E, Operand A, Operand S, Operand Z>
auto chain_score(const E& emissions, const A& transitions, const S& start, const Z& end,
                 std::span<const std::int32_t> labels, const ScanSteps& steps) {
  return detail::chain_score(detail::chain_operands(emissions, transitions, start, end, steps), labels);
}

/// Minus the logarithm of the probability of one path of each row, in nats: [batch]. It is chain_log_partition less
/// chain_score, in one op.
template <Operand E, Operand A, Operand S, Operand Z>
auto chain_nll(const E& emissions, const A& transitions, const S& start, const Z& end,
               std::span<const std::int32_t> labels, const ScanSteps& steps) {
  return detail::chain_nll(detail::chain_operands(emissions, transitions, start, end, steps), labels);
}

/// The probability of each label at each step: [rows, labels].
template <Operand E, Operand A, Operand S, Operand Z>
auto chain_marginals(const E& emissions, const A& transitions, const S& start, const Z& end, const ScanSteps& steps) {
  return detail::chain_marginals(detail::chain_operands(emissions, transitions, start, end, steps));
}

/// The entropy of the distribution over the paths of each row, in nats: [batch] (Hernando, Crespi and Cybenko 2005,
/// with the recursion from the last step to the first).
template <Operand E, Operand A, Operand S, Operand Z>
auto chain_entropy(const E& emissions, const A& transitions, const S& start, const Z& end, const ScanSteps& steps) {
  return detail::chain_entropy(detail::chain_operands(emissions, transitions, start, end, steps));
}

}  // namespace unroll::inline UNROLL_ISA
