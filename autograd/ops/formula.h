#pragma once

#include <unroll/autograd/ops/formula_kernels.h>

// Element-wise operators build an expression of handles. It is computed when it becomes a Var, as one node:
// the forward kernel evaluates the tree register by register; the backward kernel evaluates it again and sweeps
// the adjoint down the same tree, adding into the gradient of each leaf.

namespace unroll::inline UNROLL_ISA {
namespace detail {

/// A computed formula, as the tape keeps it; its leaves are the inputs of the node, in their order.
template <class E>
struct FormulaRule {
  using T = typename E::scalar;
  static constexpr int leaves = E::leaves;
  using Leaves = std::span<const std::uint32_t>;
  [[no_unique_address]] E e;

  void forward(Var<T> y, Leaves inputs) const {
    const Node<T>& n = y.tape().node(y.index());
    const FlushDenormals no_denormals;
    if (n.shape.size() == 1) {
      *n.value = single_forward<E, T, leaves>(e, y.tape(), inputs);
      return;
    }
    const View<T> out = result(y);
    if (out.size() == 0) return;
    std::array<Walk<T>, leaves> walks;
    const Rows rows = lay_out<T>(y.tape(), n.shape, inputs, walks, LeafGradients::none);
    if (rows.vectors)
      rows_forward<true, E, T, leaves>(e, rows, walks, out);
    else
      rows_forward<false, E, T, leaves>(e, rows, walks, out);
  }
  /// Computes the named gates again, for a watcher. Element by element: this is for looking, and costs little to
  /// compile.
  [[gnu::noinline]] void show_gates(Var<T> y, Leaves inputs, Watcher<T>& watcher) const {
    e.template for_each_gate<0>([&]<int I, class G>(const G& gate) {
      std::array<Walk<T>, leaves> walks;
      const Rows rows = lay_out<T>(y.tape(), y.shape(), inputs, walks, LeafGradients::none);
      std::vector<T> values;
      for_each_row(rows, walks, [&](Index) {
        for (Element<T> element{walks}; element.j < rows.cols; ++element.j)
          values.push_back(gate.template eval<I, T>(element));
      });
      watcher.gate(gate.f.gate, values);
    });
  }
  static void backward(const void* rule, Var<T> y) {
    const E& e = static_cast<const FormulaRule*>(rule)->e;
    Tape<T>& tape = y.tape();
    const Node<T>& n = tape.node(y.index());
    const Leaves inputs(n.inputs, leaves);
    if (n.shape.size() == 1)
      return single_backward<E, T, leaves>(e, tape, inputs, *n.value, *tape.gradient_data(y.index()));
    const View<const T> value = n.values(), dy = gradient(y);
    std::array<Walk<T>, leaves> walks;
    const Rows rows = lay_out<T>(tape, n.shape, inputs, walks, LeafGradients::fresh);
    if (rows.vectors)
      rows_backward<true, E, T, leaves>(e, rows, walks, value, dy);
    else
      rows_backward<false, E, T, leaves>(e, rows, walks, value, dy);
  }
  static constexpr Op<T> op{"formula", &backward, &E::describe, false, E::reads_result};
};

/// The leaves of a formula as values on `tape`, or on that of the first that has one.
template <class E, class T = typename E::scalar>
std::array<Var<T>, E::leaves> vars_of(const E& formula, Tape<T>* tape = nullptr) {
  static_assert(E::leaves > 0, "a formula of numbers alone has no tape");
  std::array<const Leaf<T>*, E::leaves> leaf;
  formula.collect(leaf.data());
  for (const Leaf<T>* l : leaf)
    if (tape == nullptr && l->parameter == nullptr) tape = &l->var.tape();
  require<TapeError>(tape != nullptr, "formula: parameters alone have no tape; enter one with tape.use(parameter)");
  std::array<Var<T>, E::leaves> vars;
  for (std::size_t i = 0; i < vars.size(); ++i)
    vars[i] = leaf[i]->parameter == nullptr ? leaf[i]->var : tape->use(*leaf[i]->parameter);
  return vars;
}

/// The shape of a formula whose leaves have these. Throws ShapeError with the place in the model.
template <class E, Real T>
Shape extents_of(const Tape<T>& tape, std::span<const Var<T>> vars, std::span<const Shape> shapes) {
  try {
    return E::extents(shapes.data());
  } catch (const ShapeError& error) { throw ShapeError(tape.located(error.what(), vars)); }
}

/// The same, of leaves that differ in theirs.
template <class E, Real T>
[[gnu::noinline]] Shape broadcast_leaves(const Tape<T>& tape, std::span<const Var<T>> vars) {
  std::array<Shape, E::leaves> shapes;
  for (std::size_t i = 0; i < shapes.size(); ++i) shapes[i] = tape.node(vars[i].index()).shape;
  return extents_of<E, T>(tape, vars, shapes);
}

template <class E>
Var<typename E::scalar> record_formula(const E& formula) {
  using T = typename E::scalar;
  const auto vars = vars_of(formula);
  Tape<T>& tape = vars[0].tape();
  const Shape& shape = tape.checked(vars[0], "formula").shape;
  bool alike = true;
  for (std::size_t i = 1; i < vars.size(); ++i) alike = tape.checked(vars[i], "formula").shape == shape && alike;
  if constexpr (std::same_as<E, Leaf<T>>) {
    return vars[0];
  } else {
    using Rule = FormulaRule<decltype(formula.kept())>;
    const Rule rule{formula.kept()};
    const Var<T> y = alike ? tape.append(Rule::op, shape, vars)
                           : tape.append(Rule::op, broadcast_leaves<decltype(rule.e), T>(tape, vars), vars);
    std::array<std::uint32_t, E::leaves> inputs;
    for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i] = vars[i].index();
    rule.forward(y, inputs);
    if constexpr (E::gated)
      if (tape.watcher() != nullptr) [[unlikely]]
        rule.show_gates(y, inputs, *tape.watcher());
    tape.keep_rule(y, rule);
    return y;
  }
}

template <Real T>
Leaf<T> operand(const Var<T>& v) {
  return {{}, v, nullptr};
}
template <Real T>
Leaf<T> operand(const Parameter<T>& p) {
  return {{}, {}, &p};
}
template <Formula E>
E operand(const E& e) {
  return e;
}

template <class X>
inline constexpr bool is_handle = false;
template <class T>
inline constexpr bool is_handle<Var<T>> = true;
template <class T>
inline constexpr bool is_handle<Parameter<T>> = true;

}  // namespace detail

/// What an op takes: a value on a tape, a parameter, or a formula of them.
template <class X>
concept Operand = Formula<X> || detail::is_handle<X>;

template <class X>
concept Numeric = std::is_arithmetic_v<X>;

namespace detail {

template <class D, class V, std::size_t n>
concept Adjoints = (n == 1 && std::convertible_to<D, V>) || (n > 1 && std::convertible_to<D, std::array<V, n>>);

/// f(x...) and f(dy, x..., y) of registers or scalars, of n operands.
template <class F, class V, std::size_t... i>
struct RuleOf {
  template <std::size_t>
  using Same = V;

  static constexpr bool complete = requires(const F& f, V v, Same<i>... x) {
    { F::name } -> std::convertible_to<std::string>;
    { f.forward(x...) } -> std::convertible_to<V>;
    { f.backward(v, x..., v) } -> Adjoints<V, sizeof...(i)>;
  };
  static V forward(const F& f, Same<i>... x) { return f.forward(x...); }
  static auto backward(const F& f, V dy, Same<i>... x, V y) { return f.backward(dy, x..., y); }
};

template <auto>
struct Instantiated {};

template <class F, Real T, std::size_t... i>
constexpr void check_rule(std::index_sequence<i...>) {
  static_assert(
      RuleOf<F, T, i...>::complete,
      "apply: a rule has a name, forward(x...), and backward(dy, x..., y), which returns the adjoint of x, or "
      "of several operands a std::array of theirs");
#ifdef __AVX512F__
  // Here a comparison of registers converts to bool: a rule that branches would compile, and give each lane the branch
  // of all. Registers of SSE2 refuse, as those of any other machine do: such a rule takes math::select, max or min.
  using Narrow = RuleOf<F, xsimd::batch<T, xsimd::sse2>, i...>;
  [[maybe_unused]] Instantiated<&Narrow::forward> forward;
  [[maybe_unused]] Instantiated<&Narrow::backward> backward;
#endif
}

}  // namespace detail

/// A formula of a rule and its operands.
template <class F, Operand A>
auto apply(F f, const A& a) {
  detail::check_rule<F, typename A::scalar>(std::make_index_sequence<1>());
  using X = decltype(detail::operand(a));
  return detail::Unary<F, X>(f, detail::operand(a));
}
template <class F, Operand A, Operand B>
auto apply(F f, const A& a, const B& b) {
  static_assert(std::same_as<typename A::scalar, typename B::scalar>, "float and double do not mix");
  detail::check_rule<F, typename A::scalar>(std::make_index_sequence<2>());
  return detail::Binary<F, decltype(detail::operand(a)), decltype(detail::operand(b))>(f, detail::operand(a),
                                                                                       detail::operand(b));
}
template <class F, Operand A, Numeric N>
auto apply(F f, const A& a, N n) {
  using T = typename A::scalar;
  return apply(f, a, detail::Number<T>{{}, static_cast<T>(n)});
}
template <class F, Numeric N, Operand B>
auto apply(F f, N n, const B& b) {
  using T = typename B::scalar;
  return apply(f, detail::Number<T>{{}, static_cast<T>(n)}, b);
}
template <class F, Operand A, Operand B, Operand C>
auto apply(F f, const A& a, const B& b, const C& c) {
  detail::check_rule<F, typename A::scalar>(std::make_index_sequence<3>());
  return detail::Ternary<F, decltype(detail::operand(a)), decltype(detail::operand(b)), decltype(detail::operand(c))>(
      f, detail::operand(a), detail::operand(b), detail::operand(c));
}

/// The value of an operand that knows its tape; a formula is computed.
template <Real T>
Var<T> as_var(const Var<T>& v) {
  return v;
}
template <Formula E>
auto as_var(const E& e) {
  return e.record();
}

/// The values of several operands on the tape of the first that has one.
template <Operand... X>
auto on_one_tape(const X&... x) {
  using T = std::common_type_t<typename X::scalar...>;
  std::array<Var<T>, sizeof...(X)> vars;
  Tape<T>* tape = nullptr;
  std::size_t i = 0;
  const auto enter = [&]<class A>(const A& a) {
    if constexpr (!std::same_as<A, Parameter<T>>) {
      vars[i] = as_var(a);
      if (tape == nullptr) tape = &vars[i].tape();
    }
    ++i;
  };
  (enter(x), ...);
  require<TapeError>(tape != nullptr, "parameters alone have no tape; enter one with tape.use(parameter)");
  i = 0;
  const auto enter_parameter = [&]<class A>(const A& a) {
    if constexpr (std::same_as<A, Parameter<T>>) vars[i] = tape->use(a);
    ++i;
  };
  (enter_parameter(x), ...);
  return vars;
}

}  // namespace unroll::inline UNROLL_ISA
