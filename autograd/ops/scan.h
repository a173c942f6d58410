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

/// Throws unless `rows` and `start` are [rows, width] and [batch, width] with as many rows as the steps say.
template <Real T>
void check_steps(const Tape<T>& tape, const Shape& rows, const Shape& start, const ScanSteps& steps, const char* op);
template <Real T>
Var<T> last_rows(Var<T> rows, Var<T> start, const ScanSteps& steps);
template <Real T>
Var<T> previous_rows(Var<T> rows, Var<T> start, const ScanSteps& steps);

/// A formula of arrays and of its own result one step before: the leaves that stand for that are those of `start`.
template <class E>
struct ScanRule {
  using T = typename E::scalar;
  static constexpr int leaves = E::leaves;
  using Leaves = std::array<std::uint32_t, leaves>;
  E e;
  Var<T> start;
  ScanSteps steps;

  /// f(row of the result, how the leaves lie there), row by row.
  template <class F>
  void for_each_row(Var<T> y, Leaves inputs, bool backward, F f) const {
    Tape<T>& tape = y.tape();
    std::array<bool, leaves> is_last{};
    for (std::size_t i = 0; i < leaves; ++i)
      if (inputs[i] == start.index()) inputs[i] = y.index(), is_last[i] = true;
    std::array<Walk<T>, leaves> walks;
    lay_out<T>(tape, y.shape(), inputs, walks, backward ? LeafGradients::added : LeafGradients::none);
    const auto at_first = walks;
    const View<const T> first = values(start), h = values(y);
    const View<T> to_first = backward && tape.wanted(start.index()) ? gradient(start) : View<T>{};
    const View<T> dh = backward ? gradient(y) : View<T>{};
    for (Index k = 0; k < steps.count(); ++k) {
      const auto t = static_cast<std::size_t>(backward ? steps.count() - 1 - k : k);
      for (Index i = 0; i < steps.alive[t]; ++i) {
        const Index r = steps.offsets[t] + i;
        for (std::size_t l = 0; l < leaves; ++l) {
          const Index move = r * at_first[l].steps[0];
          if (!is_last[l]) {
            walks[l].value = at_first[l].value + move;
            if (at_first[l].grad != nullptr) walks[l].grad = at_first[l].grad + move;
          } else if (t == 0) {
            walks[l].value = first.row(i);
            walks[l].grad = to_first.data == nullptr ? nullptr : to_first.row(i);
          } else {
            walks[l].value = h.row(steps.offsets[t - 1] + i);
            walks[l].grad = backward ? dh.row(steps.offsets[t - 1] + i) : nullptr;
          }
        }
        f(r, std::span<Walk<T>>(walks));
      }
    }
  }
  void forward(Var<T> y, const Leaves& inputs) const {
    const View<T> h = result(y);
    const FlushDenormals no_denormals;
    for_each_row(y, inputs, false, [&](Index r, std::span<Walk<T>> walks) {
      row_forward<false, E, T, leaves>(e, walks, {h.row(r), 0}, h.cols);
    });
  }
  static void backward(const void* rule, Var<T> y) {
    const View<const T> h = values(y), dh = gradient(y);
    const auto& self = *static_cast<const ScanRule*>(rule);
    Leaves inputs;
    std::copy_n(y.tape().node(y.index()).inputs, leaves, inputs.begin());
    self.for_each_row(y, inputs, true, [&](Index r, std::span<Walk<T>> walks) {
      row_backward<false, E, T, leaves>(self.e, walks, {h.row(r), 0}, {dh.row(r), 0}, dh.cols);
    });
  }
  static constexpr Op<T> op{"scan_rows", &backward, &E::describe};
};

template <class E>
auto record_scan(const E& formula, Var<typename E::scalar> start, const ScanSteps& steps) {
  using T = typename E::scalar;
  using Rule = ScanRule<decltype(formula.kept())>;
  Tape<T>& tape = start.tape();
  const Rule rule{formula.kept(), start, {tape.keep(steps.alive), tape.keep(steps.offsets)}};
  const auto vars = vars_of(formula, &tape);
  typename Rule::Leaves inputs;
  std::array<Shape, E::leaves> shapes;
  Shape all = tape.checked(start, "scan_rows").shape;
  Index rows = 0;
  for (const Index alive : steps.alive) rows += alive;
  if (all.rank() > 0) all = all.with(0, rows);
  for (std::size_t i = 0; i < vars.size(); ++i) {
    inputs[i] = vars[i].index();
    shapes[i] = vars[i].index() == start.index() ? all : tape.checked(vars[i], "scan_rows").shape;
  }
  const Shape made = extents_of<decltype(rule.e), T>(tape, vars, shapes);
  check_steps(tape, made, start.shape(), steps, "scan_rows");
  const Var<T> y = tape.append(Rule::op, made, vars);
  rule.forward(y, inputs);
  tape.keep_rule(y, rule);
  return y;
}

}  // namespace detail

/// h_t = f(h_{t-1}) for all steps in one pass, with h_{-1} = start [batch, width]. f is a formula of h and of arrays,
/// of which those of the sequence are [rows, width], as the result is.
template <Operand S, class F>
auto scan_rows(const S& start, const ScanSteps& steps, F f) {
  const auto first = as_var(start);
  return detail::record_scan(f(detail::operand(first)), first, steps);
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
