#include <autograd/ops/element_rows.h>
#include <autograd/ops/reference.h>

using namespace unroll;
using namespace unroll::testing;

// Ops of a user's own, written as the library's are.

namespace {

/// x tanh(softplus(x)) (Misra 2020)
struct Mish {
  static constexpr const char* name = "mish";
  template <class V>
  V forward(V x) const {
    return x * math::tanh(softplus(x));
  }
  template <class V>
  V backward(V dy, V x, V) const {
    const V t = math::tanh(softplus(x));
    return dy * (t + x * (V(1) - t * t) * math::sigmoid(x));
  }
  template <class V>
  static V softplus(V x) {
    return math::max(x, V(0)) + math::log1p(math::exp(-math::abs(x)));
  }
};

/// a + t (b - a), of three operands.
struct Blend {
  static constexpr const char* name = "blend";
  template <class V>
  V forward(V a, V b, V t) const {
    return a + t * (b - a);
  }
  template <class V>
  std::array<V, 3> backward(V dy, V a, V b, V t, V) const {
    return {dy * (V(1) - t), dy * t, dy * (b - a)};
  }
};

/// y[r, c] = x[r, c - by], the last columns coming in at the front.
template <Real T>
struct Roll {
  static constexpr const char* name = "roll";
  Var<T> x;
  Index by;

  void forward(Var<T> y) const {
    const View<const T> from = values(x);
    const View<T> to = result(y);
    for (Index r = 0; r < to.rows; ++r)
      for (Index c = 0; c < to.cols; ++c) to.row(r)[(c + by) % to.cols] = from.row(r)[c];
  }
  void backward(Var<T> y) const {
    const View<const T> dy = unroll::gradient(y);
    const View<T> dx = unroll::gradient(x);
    for (Index r = 0; r < dy.rows; ++r)
      for (Index c = 0; c < dy.cols; ++c) dx.row(r)[c] += dy.row(r)[(c + by) % dy.cols];
  }
};

template <Operand X>
auto roll(const X& x, Index by) {
  const auto v = as_var(x);
  return record(v.shape(), Roll<typename X::scalar>{v, by}, v);
}

/// Rows scaled by a vector: two operands, of which one gradient may be wanted.
template <Real T>
struct ScaleRows {
  static constexpr const char* name = "scale_rows";
  Var<T> x, s;

  void forward(Var<T> y) const {
    const View<const T> from = values(x);
    const View<T> to = result(y);
    for (Index r = 0; r < to.rows; ++r)
      for (Index c = 0; c < to.cols; ++c) to.row(r)[c] = values(s).data[r] * from.row(r)[c];
  }
  void backward(Var<T> y) const {
    const View<const T> dy = unroll::gradient(y), from = values(x);
    for (Index r = 0; r < dy.rows; ++r)
      for (Index c = 0; c < dy.cols; ++c) {
        if (wanted(x)) unroll::gradient(x).row(r)[c] += dy.row(r)[c] * values(s).data[r];
        if (wanted(s)) unroll::gradient(s).data[r] += dy.row(r)[c] * from.row(r)[c];
      }
  }
};

/// A rule that forgot a factor.
struct WrongSquare {
  static constexpr const char* name = "wrong_square";
  template <class V>
  V forward(V x) const {
    return x * x;
  }
  template <class V>
  V backward(V dy, V x, V) const {
    return dy * x;
  }
};

}  // namespace

TEST_CASE("user op: an element-wise rule of one operand") {
  const ElementRow mish = element<1>(
      "mish", "", [](auto x) { return apply(Mish{}, x); },
      [](double x) { return x * std::tanh(std::log1p(std::exp(x))); }, {.forward = {16}, .backward = {4, 60}});
  check_row(mish.row);
  mish.lanes();
  check_fused(mish.fused);
}

TEST_CASE("user op: an element-wise rule of three operands, broadcasting") {
  const ElementRow blend = element<3>(
      "blend", "", [](auto a, auto b, auto t) { return apply(Blend{}, a, b, t); },
      [](double a, double b, double t) { return a + t * (b - a); }, {.forward = {1, 16}, .backward = {3, 4}});
  for (const auto& [a, b] : broadcast_pairs()) check_row(broadcasting(blend.row, a, b));
  blend.lanes();
}

TEST_CASE("user op: a structural op") {
  for (const Shape& s : {Shape{7}, Shape{3, 4}, Shape{2, 3, 5}})
    check_row(row(
        "roll", s.text(), {s}, [](auto v) { return roll(v[0], 2); },
        [s](const Arrays& x) {
          return tabulate(s, [&](const At& at) {
            const Index c = at[static_cast<std::size_t>(s.rank() - 1)];
            return element_at(x[0], with(at, s.rank() - 1, (c + s.cols() - 2) % s.cols()));
          });
        }));
  check_row(row(
      "scale_rows", "", {{3, 4}, {3}},
      [](auto v) {
        using T = typename decltype(v)::value_type::scalar;
        return record(v[0].shape(), ScaleRows<T>{v[0], v[1]}, v[0], v[1]);
      },
      [](const Arrays& x) {
        return tabulate({3, 4}, [&](const At& at) { return element_at(x[0], at) * x[1].data()[at[0]]; });
      },
      {.forward = {1}, .backward = {2, 64}}));
}

TEST_CASE("user op: it takes formulas and becomes part of them") {
  Parameter<double> p(Array{{0.5, -1, 2}, {1, 0.25, -0.75}});
  const GradientReport report = check_gradients(
      [&](Tape<double>& tape) { return sum(square(roll(tanh(tape.use(p)) * p, 1) - apply(Mish{}, p))); }, {&p});
  INFO(report.text());
  CHECK(report);
}

TEST_CASE("user op: the checker catches a rule that forgot a factor") {
  Parameter<double> p(Array{0.5, -1, 2});
  const GradientReport report =
      check_gradients([&](Tape<double>& t) { return sum(apply(WrongSquare{}, t.use(p))); }, {&p});
  CHECK_FALSE(report);
  CHECK(report.worst.error == doctest::Approx(0.5));
}
