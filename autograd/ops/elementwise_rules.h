#pragma once

#include <array>
#include <numbers>

#include <unroll/autograd/tensor/exponential.h>
#include <unroll/autograd/tensor/simd.h>

// The rules of element-wise ops: each says its two directions side by side, for scalars and for registers of them.

namespace unroll::inline UNROLL_ISA::rules {

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

}  // namespace unroll::inline UNROLL_ISA::rules
