#pragma once

#include <numbers>

#include <unroll/autograd/ops/formula.h>
#include <unroll/autograd/tensor/exponential.h>

// Element-wise ops. Each says its two directions side by side; `apply` makes a formula of a rule, and a
// user's own rule is made the same way. Operands broadcast: extents are aligned at the last axis and an extent
// of 1 stretches.

namespace unroll::inline UNROLL_ISA {
namespace rules {

struct Neg {
  static constexpr const char* name = "neg";
  static constexpr bool reads_result = false;
  template <class V>
  V forward(V x) const {
    return -x;
  }
  template <class V>
  V backward(V dy, V, V) const {
    return -dy;
  }
};

struct Exp {
  static constexpr const char* name = "exp";
  template <class V>
  V forward(V x) const {
    return math::exp(x);
  }
  template <class V>
  V backward(V dy, V, V y) const {
    return dy * y;
  }
};

struct Log {
  static constexpr const char* name = "log";
  template <class V>
  V forward(V x) const {
    return math::log(x);
  }
  template <class V>
  V backward(V dy, V x, V) const {
    return math::divide(dy, x);
  }
};

struct Log1p {
  static constexpr const char* name = "log1p";
  template <class V>
  V forward(V x) const {
    return math::log1p(x);
  }
  template <class V>
  V backward(V dy, V x, V) const {
    return math::divide(dy, V(1) + x);
  }
};

struct Expm1 {
  static constexpr const char* name = "expm1";
  template <class V>
  V forward(V x) const {
    return math::expm1(x);
  }
  template <class V>
  V backward(V dy, V, V y) const {
    return dy * (y + V(1));
  }
};

struct Sqrt {
  static constexpr const char* name = "sqrt";
  template <class V>
  V forward(V x) const {
    return math::sqrt(x);
  }
  template <class V>
  V backward(V dy, V, V y) const {
    return math::divide(V(0.5) * dy, y);
  }
};

struct Square {
  static constexpr const char* name = "square";
  template <class V>
  V forward(V x) const {
    return x * x;
  }
  template <class V>
  V backward(V dy, V x, V) const {
    return V(2) * dy * x;
  }
};

struct Abs {
  static constexpr const char* name = "abs";
  template <class V>
  V forward(V x) const {
    return math::abs(x);
  }
  template <class V>
  V backward(V dy, V x, V) const {
    return math::select(x > V(0), dy, math::select(x < V(0), -dy, V(0) * dy));
  }
};

struct Sin {
  static constexpr const char* name = "sin";
  template <class V>
  V forward(V x) const {
    return math::sin(x);
  }
  template <class V>
  V backward(V dy, V x, V) const {
    return dy * math::cos(x);
  }
};

struct Cos {
  static constexpr const char* name = "cos";
  template <class V>
  V forward(V x) const {
    return math::cos(x);
  }
  template <class V>
  V backward(V dy, V x, V) const {
    return -dy * math::sin(x);
  }
};

struct Tanh {
  static constexpr const char* name = "tanh";
  template <class V>
  V forward(V x) const {
    return math::tanh(x);
  }
  template <class V>
  V backward(V dy, V, V y) const {
    return dy * (V(1) - y * y);
  }
};

struct Sigmoid {
  static constexpr const char* name = "sigmoid";
  template <class V>
  V forward(V x) const {
    return math::sigmoid(x);
  }
  template <class V>
  V backward(V dy, V, V y) const {
    return dy * y * (V(1) - y);
  }
};

/// The same, with a name under which it can be inspected.
struct Gate : Sigmoid {
  const char* gate;
};

struct LogSigmoid {
  static constexpr const char* name = "log_sigmoid";
  template <class V>
  V forward(V x) const {
    return math::min(x, V(0)) - math::log1p(math::exp(-math::abs(x)));
  }
  template <class V>
  V backward(V dy, V x, V) const {
    return dy * math::sigmoid(-x);
  }
};

struct Softplus {
  static constexpr const char* name = "softplus";
  template <class V>
  V forward(V x) const {
    return math::max(x, V(0)) + math::log1p(math::exp(-math::abs(x)));
  }
  template <class V>
  V backward(V dy, V x, V) const {
    return dy * math::sigmoid(x);
  }
};

struct Softsign {
  static constexpr const char* name = "softsign";
  template <class V>
  V forward(V x) const {
    return math::divide(x, V(1) + math::abs(x));
  }
  template <class V>
  V backward(V dy, V x, V) const {
    const V d = V(1) + math::abs(x);
    return math::divide(dy, d * d);
  }
};

struct Relu {
  static constexpr const char* name = "relu";
  template <class V>
  V forward(V x) const {
    return math::max(x, V(0));
  }
  template <class V>
  V backward(V dy, V x, V) const {
    return math::select(x > V(0), dy, V(0));
  }
};

struct Gelu {
  static constexpr const char* name = "gelu";
  template <class V>
  V forward(V x) const {
    return x * V(0.5) * (V(1) + math::erf(x * V(std::numbers::sqrt2 / 2)));
  }
  template <class V>
  V backward(V dy, V x, V) const {
    const V phi = V(std::numbers::inv_sqrtpi * std::numbers::sqrt2 / 2) * math::exp(V(-0.5) * x * x);
    return dy * (V(0.5) * (V(1) + math::erf(x * V(std::numbers::sqrt2 / 2))) + x * phi);
  }
};

struct Silu {
  static constexpr const char* name = "silu";
  template <class V>
  V forward(V x) const {
    return x * math::sigmoid(x);
  }
  template <class V>
  V backward(V dy, V x, V) const {
    const V s = math::sigmoid(x);
    return dy * s * (V(1) + x * (V(1) - s));
  }
};

struct LeakyRelu {
  static constexpr const char* name = "leaky_relu";
  double slope;
  template <class V>
  V forward(V x) const {
    return math::select(x > V(0), x, V(scalar_t<V>(slope)) * x);
  }
  template <class V>
  V backward(V dy, V x, V) const {
    return math::select(x > V(0), dy, V(scalar_t<V>(slope)) * dy);
  }
};

struct Elu {
  static constexpr const char* name = "elu";
  double alpha;
  template <class V>
  V forward(V x) const {
    return math::select(x > V(0), x, V(scalar_t<V>(alpha)) * math::expm1(math::min(x, V(0))));
  }
  template <class V>
  V backward(V dy, V x, V y) const {
    return math::select(x > V(0), dy, dy * (y + V(scalar_t<V>(alpha))));
  }
};

struct Pow {
  static constexpr const char* name = "pow";
  double exponent;
  template <class V>
  V forward(V x) const {
    return power(x, exponent);
  }
  template <class V>
  V backward(V dy, V x, V) const {
    return exponent == 0 ? V(0) * dy : V(scalar_t<V>(exponent)) * dy * power(x, exponent - 1);
  }
  /// x^p, of a negative x when p is whole.
  template <class V>
  static V power(V x, double p) {
    if (p == 0) return V(1);
    if (p == 1) return x;
    const V size = math::exp(V(scalar_t<V>(p)) * math::log(math::abs(x)));
    const bool whole = p == std::trunc(p);
    const V below = !whole ? V(std::numeric_limits<scalar_t<V>>::quiet_NaN()) : std::fmod(p, 2) == 0 ? size : -size;
    return math::select(x < V(0), below, size);
  }
};

struct Clamp {
  static constexpr const char* name = "clamp";
  double low, high;
  template <class V>
  V forward(V x) const {
    return math::min(math::max(x, V(scalar_t<V>(low))), V(scalar_t<V>(high)));
  }
  template <class V>
  V backward(V dy, V x, V) const {
    return math::select(x < V(scalar_t<V>(low)), V(0), math::select(x > V(scalar_t<V>(high)), V(0), dy));
  }
};

struct Add {
  static constexpr const char* name = "add";
  static constexpr bool reads_result = false;
  template <class V>
  V forward(V a, V b) const {
    return a + b;
  }
  template <class V>
  std::array<V, 2> backward(V dy, V, V, V) const {
    return {dy, dy};
  }
};

struct Sub {
  static constexpr const char* name = "sub";
  static constexpr bool reads_result = false;
  template <class V>
  V forward(V a, V b) const {
    return a - b;
  }
  template <class V>
  std::array<V, 2> backward(V dy, V, V, V) const {
    return {dy, -dy};
  }
};

struct Mul {
  static constexpr const char* name = "mul";
  static constexpr bool reads_result = false;
  template <class V>
  V forward(V a, V b) const {
    return a * b;
  }
  template <class V>
  std::array<V, 2> backward(V dy, V a, V b, V) const {
    return {dy * b, dy * a};
  }
};

struct Div {
  static constexpr const char* name = "div";
  template <class V>
  V forward(V a, V b) const {
    return math::divide(a, b);
  }
  template <class V>
  std::array<V, 2> backward(V dy, V, V b, V y) const {
    const V da = math::divide(dy, b);
    return {da, -da * y};
  }
};

// In these two !(a == a) finds NaN; xsimd's != is false of it.
struct Maximum {
  static constexpr const char* name = "maximum";
  template <class V>
  V forward(V a, V b) const {
    return math::select((a > b) | !(a == a), a, b);
  }
  template <class V>
  std::array<V, 2> backward(V dy, V a, V b, V) const {
    const V half = V(0.5) * dy;
    return {math::select(a > b, dy, math::select(a < b, V(0), half)),
            math::select(b > a, dy, math::select(b < a, V(0), half))};
  }
};

struct Minimum {
  static constexpr const char* name = "minimum";
  template <class V>
  V forward(V a, V b) const {
    return math::select((a < b) | !(a == a), a, b);
  }
  template <class V>
  std::array<V, 2> backward(V dy, V a, V b, V) const {
    const V half = V(0.5) * dy;
    return {math::select(a < b, dy, math::select(a > b, V(0), half)),
            math::select(b < a, dy, math::select(b > a, V(0), half))};
  }
};

struct Less {
  static constexpr const char* name = "less";
  template <class V>
  V forward(V a, V b) const {
    return math::select(a < b, V(1), V(0));
  }
  template <class V>
  std::array<V, 2> backward(V, V, V, V) const {
    return {V(0), V(0)};
  }
};

struct Lerp {
  static constexpr const char* name = "lerp";
  template <class V>
  V forward(V a, V b, V weight) const {
    return a + weight * (b - a);
  }
  template <class V>
  std::array<V, 3> backward(V dy, V a, V b, V weight, V) const {
    const V db = dy * weight;
    return {dy - db, db, dy * (b - a)};
  }
};

struct Where {
  static constexpr const char* name = "where";
  template <class V>
  V forward(V condition, V a, V b) const {
    return math::select(condition == V(0), b, a);
  }
  /// Where a is taken. Elsewhere nothing is added to the arrays a is made of.
  template <class V>
  auto selects(V condition) const {
    return !(condition == V(0));
  }
  template <class V>
  std::array<V, 3> backward(V dy, V condition, V, V, V) const {
    return {V(0), math::select(condition == V(0), V(0), dy), math::select(condition == V(0), dy, V(0))};
  }
};

}  // namespace rules

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
