#pragma once

#include <unroll/autograd/ops/elementwise_rules.h>
#include <unroll/autograd/ops/formula.h>

// Element-wise ops: `apply` makes a formula of a rule, and a user's own rule is made the same way. Operands broadcast:
// extents are aligned at the last axis and an extent of 1 stretches.

namespace unroll::inline UNROLL_ISA {

/// -x
template <Operand X>
auto operator-(const X& x) {
  return apply(rules::Neg{}, x);
}

/// e^x
template <Operand X>
auto exp(const X& x) {
  return apply(rules::Exp{}, x);
}

/// natural logarithm; -infinity at 0, NaN below
template <Operand X>
auto log(const X& x) {
  return apply(rules::Log{}, x);
}

/// log(1 + x), accurate near 0
template <Operand X>
auto log1p(const X& x) {
  return apply(rules::Log1p{}, x);
}

/// e^x - 1, accurate near 0
template <Operand X>
auto expm1(const X& x) {
  return apply(rules::Expm1{}, x);
}

/// square root; its derivative at 0 is infinite
template <Operand X>
auto sqrt(const X& x) {
  return apply(rules::Sqrt{}, x);
}

/// x^2
template <Operand X>
auto square(const X& x) {
  return apply(rules::Square{}, x);
}

/// |x|; derivative 0 at 0
template <Operand X>
auto abs(const X& x) {
  return apply(rules::Abs{}, x);
}

/// sine, x in radians
template <Operand X>
auto sin(const X& x) {
  return apply(rules::Sin{}, x);
}

/// cosine, x in radians
template <Operand X>
auto cos(const X& x) {
  return apply(rules::Cos{}, x);
}

/// hyperbolic tangent
template <Operand X>
auto tanh(const X& x) {
  return apply(rules::Tanh{}, x);
}

/// 1 / (1 + e^-x)
template <Operand X>
auto sigmoid(const X& x) {
  return apply(rules::Sigmoid{}, x);
}

/// the same as a gate whose saturation can be inspected under that name, a literal
template <Operand X>
auto sigmoid(const X& x, const char* gate) {
  return apply(rules::Gate{{}, gate}, x);
}

/// log(sigmoid(x)), without overflow
template <Operand X>
auto log_sigmoid(const X& x) {
  return apply(rules::LogSigmoid{}, x);
}

/// log(1 + e^x), without overflow
template <Operand X>
auto softplus(const X& x) {
  return apply(rules::Softplus{}, x);
}

/// x / (1 + |x|)
template <Operand X>
auto softsign(const X& x) {
  return apply(rules::Softsign{}, x);
}

/// max(x, 0); derivative 0 at 0
template <Operand X>
auto relu(const X& x) {
  return apply(rules::Relu{}, x);
}

/// x Phi(x) with the exact normal distribution function (Hendrycks and Gimpel 2016, eq. 1)
template <Operand X>
auto gelu(const X& x) {
  return apply(rules::Gelu{}, x);
}

/// x sigmoid(x) (Elfwing, Uchibe and Doya 2018, eq. 5)
template <Operand X>
auto silu(const X& x) {
  return apply(rules::Silu{}, x);
}

/// x above 0, slope x below
template <Operand X>
auto leaky_relu(const X& x, double slope = 0.01) {
  return apply(rules::LeakyRelu{slope}, x);
}
/// x above 0, alpha (e^x - 1) below (Clevert, Unterthiner and Hochreiter 2016, eq. 15)
template <Operand X>
auto elu(const X& x, double alpha = 1) {
  return apply(rules::Elu{alpha}, x);
}
/// x to a constant power; of a negative x NaN unless the exponent is whole
template <Operand X>
auto pow(const X& x, double exponent) {
  return apply(rules::Pow{exponent}, x);
}
/// x confined to low .. high; derivative 0 outside. Throws ValueError if low > high.
template <Operand X>
auto clamp(const X& x, double low, double high) {
  require<ValueError>(low <= high, "clamp: the bounds {} and {} are in the wrong order", low, high);
  return apply(rules::Clamp{low, high}, x);
}

/// At least one operand of ours, the other may be a number.
template <class A, class B>
concept Operands = (Operand<A> && (Operand<B> || Numeric<B>)) || (Numeric<A> && Operand<B>);

template <class A, class B>
  requires Operands<A, B>
auto operator+(const A& a, const B& b) {
  return apply(rules::Add{}, a, b);
}
template <class A, class B>
  requires Operands<A, B>
auto operator-(const A& a, const B& b) {
  return apply(rules::Sub{}, a, b);
}
template <class A, class B>
  requires Operands<A, B>
auto operator*(const A& a, const B& b) {
  return apply(rules::Mul{}, a, b);
}
template <class A, class B>
  requires Operands<A, B>
auto operator/(const A& a, const B& b) {
  return apply(rules::Div{}, a, b);
}

/// A Var and an array that is on no tape, on whichever side.
template <class A, class B>
concept OperandAndArray = (Operand<A> && !Operand<B> && requires(const B& b) { b.shape(), b.dimension(); }) ||
                          (Operand<B> && !Operand<A> && requires(const A& a) { a.shape(), a.dimension(); });

// Without these, xtensor's operators would be taken.
template <class A, class B>
  requires OperandAndArray<std::remove_cvref_t<A>, std::remove_cvref_t<B>>
void operator+(A&& a, B&& b) = delete;  // enter the array first: tape.constant(array)
template <class A, class B>
  requires OperandAndArray<std::remove_cvref_t<A>, std::remove_cvref_t<B>>
void operator-(A&& a, B&& b) = delete;  // enter the array first: tape.constant(array)
template <class A, class B>
  requires OperandAndArray<std::remove_cvref_t<A>, std::remove_cvref_t<B>>
void operator*(A&& a, B&& b) = delete;  // enter the array first: tape.constant(array)
template <class A, class B>
  requires OperandAndArray<std::remove_cvref_t<A>, std::remove_cvref_t<B>>
void operator/(A&& a, B&& b) = delete;  // enter the array first: tape.constant(array)

/// The larger of two, NaN if either is; where they are equal each gets half of the gradient
template <class A, class B>
  requires Operands<A, B>
auto maximum(const A& a, const B& b) {
  return apply(rules::Maximum{}, a, b);
}
/// The smaller of two, NaN if either is; where they are equal each gets half of the gradient
template <class A, class B>
  requires Operands<A, B>
auto minimum(const A& a, const B& b) {
  return apply(rules::Minimum{}, a, b);
}
/// 1 where a < b, else 0; no gradient
template <class A, class B>
  requires Operands<A, B>
auto less(const A& a, const B& b) {
  return apply(rules::Less{}, a, b);
}
/// (1 - weight) a + weight b, each of them evaluated once
template <Operand A, Operand B, Operand W>
auto lerp(const A& a, const B& b, const W& weight) {
  return apply(rules::Lerp{}, a, b, weight);
}
/// a where the condition is not 0, else b. Selects, never multiplies: a NaN that is not selected changes neither the
/// value nor the gradient of any array that a and b are formulas of.
template <Operand C, Operand A, Operand B>
auto where(const C& condition, const A& a, const B& b) {
  return apply(rules::Where{}, condition, a, b);
}
template <Operand C, Operand A, Numeric N>
auto where(const C& condition, const A& a, N b) {
  return apply(rules::Where{}, condition, a,
               detail::Number<typename A::scalar>{{}, static_cast<typename A::scalar>(b)});
}
template <Operand C, Numeric N, Operand B>
auto where(const C& condition, N a, const B& b) {
  return apply(rules::Where{}, condition, detail::Number<typename B::scalar>{{}, static_cast<typename B::scalar>(a)},
               b);
}

}  // namespace unroll::inline UNROLL_ISA
