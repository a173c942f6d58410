#include <autograd/ops/op_rows.h>

using namespace unroll;
using namespace unroll::testing;

// Extreme inputs, where a formula written naively overflows, divides zero by zero or loses a NaN.

namespace {

constexpr double inf = INFINITY, not_a_number = NAN;

/// f at x in both precisions, each in two registers side by side, in one and in a tail.
template <class F>
std::vector<double> at(double x, F f) {
  std::vector<double> results;
  const auto run = [&]<Real T>(T) {
    Tape<T> tape;
    const Var<T> y = f(tape.constant(make_tensor<T>({3 * lanes<T> + 1}, static_cast<T>(x))));
    for (const Index i : {Index{0}, 2 * lanes<T>, 3 * lanes<T>}) results.push_back(static_cast<double>(y.value()(i)));
  };
  run(1.0F);
  run(1.0);
  return results;
}

/// df/dx at x, likewise.
template <class F>
std::vector<double> slope_at(double x, F f) {
  std::vector<double> results;
  const auto run = [&]<Real T>(T) {
    Tape<T> tape;
    const Var<T> v = tape.variable(make_tensor<T>({3 * lanes<T> + 1}, static_cast<T>(x)));
    tape.backward(sum(Var<T>(f(v))));
    for (const Index i : {Index{0}, 2 * lanes<T>, 3 * lanes<T>}) results.push_back(static_cast<double>(v.grad()(i)));
  };
  run(1.0F);
  run(1.0);
  return results;
}

bool all_are(const std::vector<double>& got, double want, double tolerance = 0) {
  return std::ranges::all_of(got, [&](double g) {
    return std::isnan(want) ? std::isnan(g) : g == want || std::abs(g - want) <= tolerance * std::abs(want);
  });
}

}  // namespace

TEST_CASE("elementwise edges: saturating functions reach their limits") {
  const auto s = [](auto x) { return sigmoid(x); };
  const auto t = [](auto x) { return tanh(x); };
  for (const double x : {100.0, 1e4, 1e10, inf}) {
    CAPTURE(x);
    CHECK(all_are(at(x, s), 1));
    CHECK(all_are(at(-1e4 * x, s), 0));
    CHECK(all_are(at(x, t), 1));
    CHECK(all_are(at(-x, t), -1));
    CHECK(all_are(slope_at(x, s), 0));
    CHECK(all_are(slope_at(-x, t), 0));
    CHECK(all_are(at(x, [](auto v) { return softplus(v); }), x));
    CHECK(all_are(at(-1e4 * x, [](auto v) { return softplus(v); }), 0));
    CHECK(all_are(at(-x, [](auto v) { return log_sigmoid(v); }), -x));
    CHECK(all_are(at(1e4 * x, [](auto v) { return log_sigmoid(v); }), 0));
    CHECK(all_are(slope_at(x, [](auto v) { return softplus(v); }), 1));
    CHECK(all_are(slope_at(-x, [](auto v) { return log_sigmoid(v); }), 1));
    CHECK(all_are(at(-x, [](auto v) { return elu(v); }), -1));
    CHECK(all_are(at(x, [](auto v) { return elu(v); }), x));
    CHECK(all_are(slope_at(x, [](auto v) { return elu(v); }), 1));
    CHECK(all_are(at(-x, [](auto v) { return expm1(v); }), -1));
  }
  CHECK(all_are(at(1000, [](auto v) { return softplus(v); }), 1000));
  CHECK(all_are(at(-1000, [](auto v) { return softplus(v); }), 0));
  CHECK(all_are(at(-1000, [](auto v) { return log_sigmoid(v); }), -1000));
  CHECK(all_are(at(1e6, [](auto v) { return softsign(v); }), 1, 2e-6));
  CHECK(all_are(at(1e4, [](auto v) { return silu(v); }), 1e4));
  CHECK(all_are(at(-1e4, [](auto v) { return silu(v); }), 0));
  CHECK(all_are(at(1e4, [](auto v) { return gelu(v); }), 1e4));
  CHECK(all_are(at(-1e4, [](auto v) { return gelu(v); }), 0));
  CHECK(all_are(slope_at(-1e4, [](auto v) { return gelu(v); }), 0));
  CHECK(all_are(slope_at(1e4, [](auto v) { return silu(v); }), 1));
}

TEST_CASE("elementwise edges: exp and log at the ends of their ranges") {
  CHECK(all_are(at(-inf, [](auto x) { return exp(x); }), 0));
  CHECK(all_are(at(1e4, [](auto x) { return exp(x); }), inf));
  CHECK(all_are(at(-1e4, [](auto x) { return exp(x); }), 0));
  CHECK(all_are(at(0, [](auto x) { return exp(x); }), 1));
  CHECK(all_are(at(0, [](auto x) { return log(x); }), -inf));
  CHECK(all_are(at(inf, [](auto x) { return log(x); }), inf));
  CHECK(all_are(at(-1, [](auto x) { return log(x); }), not_a_number));
  CHECK(all_are(at(-1, [](auto x) { return log1p(x); }), -inf));
  CHECK(all_are(at(-2, [](auto x) { return log1p(x); }), not_a_number));
  CHECK(all_are(at(1e-20, [](auto x) { return log1p(x); }), 1e-20, 1e-7));
  CHECK(all_are(at(1e-20, [](auto x) { return expm1(x); }), 1e-20, 1e-7));
  CHECK(all_are(at(0, [](auto x) { return sqrt(x); }), 0));
  CHECK(all_are(at(-1, [](auto x) { return sqrt(x); }), not_a_number));
  CHECK(all_are(slope_at(0, [](auto x) { return sqrt(x); }), inf));
}

TEST_CASE("elementwise edges: at a kink the derivative is the one that is promised") {
  CHECK(all_are(slope_at(0, [](auto x) { return abs(x); }), 0));
  CHECK(all_are(slope_at(0, [](auto x) { return relu(x); }), 0));
  CHECK(all_are(slope_at(0, [](auto x) { return leaky_relu(x, 0.25); }), 0.25));
  CHECK(all_are(slope_at(0, [](auto x) { return elu(x); }), 1));
  CHECK(all_are(slope_at(0.5, [](auto x) { return clamp(x, -0.5, 0.5); }), 1));
  CHECK(all_are(slope_at(0.75, [](auto x) { return clamp(x, -0.5, 0.5); }), 0));
  CHECK(all_are(slope_at(1, [](auto x) { return maximum(x, 1); }), 0.5));
  CHECK(all_are(slope_at(1, [](auto x) { return minimum(1, x); }), 0.5));
  CHECK(all_are(slope_at(1, [](auto x) { return maximum(x, x); }), 1));
}

TEST_CASE("elementwise edges: powers") {
  const auto power = [](double p) { return [p](auto x) { return pow(x, p); }; };
  CHECK(all_are(at(-2, power(3)), -8, 1e-5));
  CHECK(all_are(at(-2, power(2)), 4, 1e-5));
  CHECK(all_are(at(-2, power(-1)), -0.5, 1e-5));
  CHECK(all_are(at(-2, power(0.5)), not_a_number));
  CHECK(all_are(at(0, power(2)), 0));
  CHECK(all_are(at(0, power(-1)), inf));
  CHECK(all_are(at(0, power(0)), 1));
  CHECK(all_are(at(not_a_number, power(2)), not_a_number));
  CHECK(all_are(at(inf, power(2)), inf));
  CHECK(all_are(at(-inf, power(3)), -inf));
  CHECK(all_are(at(inf, power(-2)), 0));
  CHECK(all_are(slope_at(0, power(2)), 0));
  CHECK(all_are(slope_at(0, power(1)), 1));
  CHECK(all_are(slope_at(0, power(0)), 0));
  CHECK(all_are(slope_at(-3, power(2)), -6, 1e-5));
}

TEST_CASE("elementwise edges: NaN comes through every op, from either side") {
  const auto expect = [](const std::string& name, auto f) {
    CAPTURE(name);
    CHECK(all_are(at(not_a_number, f), not_a_number));
  };
  expect("-x", [](auto x) { return -x; });
  expect("exp(x)", [](auto x) { return exp(x); });
  expect("log(x)", [](auto x) { return log(x); });
  expect("log1p(x)", [](auto x) { return log1p(x); });
  expect("expm1(x)", [](auto x) { return expm1(x); });
  expect("sqrt(x)", [](auto x) { return sqrt(x); });
  expect("square(x)", [](auto x) { return square(x); });
  expect("abs(x)", [](auto x) { return abs(x); });
  expect("sin(x)", [](auto x) { return sin(x); });
  expect("cos(x)", [](auto x) { return cos(x); });
  expect("tanh(x)", [](auto x) { return tanh(x); });
  expect("sigmoid(x)", [](auto x) { return sigmoid(x); });
  expect("log_sigmoid(x)", [](auto x) { return log_sigmoid(x); });
  expect("softplus(x)", [](auto x) { return softplus(x); });
  expect("softsign(x)", [](auto x) { return softsign(x); });
  expect("relu(x)", [](auto x) { return relu(x); });
  expect("gelu(x)", [](auto x) { return gelu(x); });
  expect("silu(x)", [](auto x) { return silu(x); });
  expect("leaky_relu(x)", [](auto x) { return leaky_relu(x); });
  expect("elu(x)", [](auto x) { return elu(x); });
  expect("clamp(x, -1, 1)", [](auto x) { return clamp(x, -1, 1); });
  expect("maximum(x, 1)", [](auto x) { return maximum(x, 1); });
  expect("maximum(1, x)", [](auto x) { return maximum(1, x); });
  expect("minimum(x, 1)", [](auto x) { return minimum(x, 1); });
  expect("minimum(1, x)", [](auto x) { return minimum(1, x); });
}

TEST_CASE("elementwise edges: where changes neither value nor gradient by what it does not select") {
  Tape<double> tape;
  const Array mask{1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1};
  Array some = make_tensor<double>({11}, 4.0);
  for (Index i = 1; i < 11; i += 2) some(i) = i % 4 == 1 ? not_a_number : inf;
  const Var<double> c = tape.constant(mask), x = tape.variable(some), w = tape.variable(3.0),
                    y = tape.variable(make_tensor<double>({11}, 1.0));
  const auto expect = [&](const Var<double>& loss, double gx, double gw) {
    CHECK(std::isfinite(loss.item()));
    tape.backward(loss);
    for (Index i = 0; i < 11; ++i) CHECK(x.grad()(i) == doctest::Approx(i % 2 == 0 ? gx : 0));
    CHECK(w.grad()() == doctest::Approx(gw));
  };
  expect(sum(where(c, x, y) * w), 3, 6 * 4 + 5);
  expect(sum(where(1 - c, y, x) * w), 3, 6 * 4 + 5);
  expect(sum(where(c, x, 0) * w), 3, 24);
  // The branch is a formula: its derivative there is not taken times zero.
  expect(sum(where(c, x * w, y)), 3, 24);
  expect(sum(where(1 - c, y, x * w)), 3, 24);
  expect(sum(where(c, sqrt(x) * w, 0)), 0.75, 12);
}

TEST_CASE("elementwise edges: arrays of nothing") {
  Tape<float> tape;
  const Var<float> none = tape.variable(make_tensor<float>({0, 3})), row = tape.variable(Tensor<float>{1, 2, 3}),
                   column = tape.constant(make_tensor<float>({1, 1}, 2.0F));
  const Var<float> y = tanh(none * row) + column;
  CHECK(y.shape() == Shape{0, 3});
  CHECK(Var<float>(none * 2).value().size() == 0);
  const Var<float> loss = sum(y) + sum(row);
  tape.backward(loss);
  CHECK(row.grad() == Tensor<float>{1, 1, 1});
  CHECK(Var<float>(tape.variable(make_tensor<float>({3, 0})) + tape.variable(make_tensor<float>({3, 1}))).shape() ==
        Shape{3, 0});
}
