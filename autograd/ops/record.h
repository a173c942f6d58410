#pragma once

#include <algorithm>

#include <unroll/autograd/tape/tape.h>
#include <unroll/autograd/tensor/denormals.h>

namespace unroll::inline UNROLL_ISA {

/// A kind of op that is not element-wise: its operands as members, how to compute, and how to go back.
/// `backward` adds to the gradients of those operands for which wanted() holds; it is called when one does. A rule
/// whose backward does not read the values of y may say `static constexpr bool reads_result = false`: their memory can
/// then be taken over.
template <class R, class T>
concept Rule = std::is_trivially_copyable_v<R> && requires(const R& rule, Var<T> y) {
  { R::name } -> std::convertible_to<const char*>;
  rule.forward(y);
  rule.backward(y);
};

namespace detail {

template <Real T, class R>
void run_backward(const void* rule, Var<T> y) {
  // Which gradients are wanted may differ from one backward to the next: Tape::gradient asks for few.
  Tape<T>& tape = y.tape();
  const Node<T>& n = tape.node(y.index());
  const std::span<const std::uint32_t> inputs(n.inputs, n.input_count);
  if (std::ranges::any_of(inputs, [&](std::uint32_t i) { return tape.wanted(i); }))
    static_cast<const R*>(rule)->backward(y);
}

/// An axis counted from the front. Throws ShapeError naming the op.
template <Real T>
int axis_of(const Tape<T>& tape, const Shape& shape, int axis, const char* op) {
  tape.template require<ShapeError>(axis >= -shape.rank() && axis < shape.rank(), "{}: no axis {} in {}", op, axis,
                                    shape);
  return shape.position(axis);
}

/// Whether the backward of a rule may read the result.
template <class R>
constexpr bool rule_reads_result() {
  if constexpr (requires { R::reads_result; })
    return R::reads_result;
  else
    return true;
}

template <Real T, class R>
inline constexpr Op<T> op_of{R::name, &run_backward<T, R>, nullptr, false, rule_reads_result<R>()};

}  // namespace detail

/// Where a rule writes its result.
template <Real T>
View<T> result(const Var<T>& y) {
  return y.tape().writable(y.index());
}

/// In backward: whether anyone wants the gradient of this operand.
template <Real T>
bool wanted(const Var<T>& v) {
  return v.tape().wanted(v.index());
}

/// In backward: the gradient that arrived at the result, or that of an operand, to be added to.
template <Real T>
View<T> gradient(const Var<T>& v) {
  return v.tape().gradient_of(v.index());
}

/// The one door to the tape for an op: computes `rule` into a new value of the given shape. `inputs` are the
/// operands that backward may add to; they must be on one tape.
template <Real T, Rule<T> R, std::same_as<Var<T>>... Inputs>
Var<T> record(const Shape& shape, const R& rule, const Var<T>& first, const Inputs&... more) {
  Tape<T>& tape = first.tape();
  const std::array<Var<T>, 1 + sizeof...(more)> inputs{first, more...};
  const Var<T> y = tape.append(detail::op_of<T, R>, shape, inputs);
  const FlushDenormals no_denormals;
  rule.forward(y);
  tape.keep_rule(y, rule);
  return y;
}

}  // namespace unroll::inline UNROLL_ISA
