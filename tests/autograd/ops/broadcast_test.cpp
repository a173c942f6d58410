#include <autograd/ops/element_rows.h>

using namespace unroll;
using namespace unroll::testing;

// Element-wise ops of two and three operands.

namespace {

std::vector<ElementRow> binary_rows() {
  const RowOptions exact{}, once{.forward = {1}}, product{.forward = {1}, .backward = {1}},
      quotient{.domains = {{-2, 2}, {0.5, 2}}, .forward = {1}, .backward = {3}};
  const auto larger = [](double a, double b) { return std::max(a, b); };
  const auto smaller = [](double a, double b) { return std::min(a, b); };
  std::vector<ElementRow> rows;
  const auto row = [&](const char* name, auto f, auto r, RowOptions options) {
    rows.push_back(element<2>(name, "", f, r, std::move(options)));
  };
  row(
      "add", [](auto a, auto b) { return a + b; }, std::plus<double>{}, once);
  row(
      "sub", [](auto a, auto b) { return a - b; }, std::minus<double>{}, once);
  row(
      "mul", [](auto a, auto b) { return a * b; }, std::multiplies<double>{}, product);
  row(
      "div", [](auto a, auto b) { return a / b; }, std::divides<double>{}, quotient);
  row(
      "maximum", [](auto a, auto b) { return maximum(a, b); }, larger, exact);
  row(
      "minimum", [](auto a, auto b) { return minimum(a, b); }, smaller, exact);
  row(
      "less", [](auto a, auto b) { return less(a, b); }, [](double a, double b) { return a < b ? 1.0 : 0.0; }, exact);
  return rows;
}

std::vector<ElementRow> number_rows() {
  const RowOptions once{.forward = {1}}, product{.forward = {1}, .backward = {1}}, kink{.domains = {{.kinks = {0.25}}}},
      positive{.domains = {{0.5, 2}}, .forward = {1}, .backward = {3}};
  std::vector<ElementRow> rows;
  const auto row = [&](const char* name, const char* how, auto f, auto r, RowOptions options) {
    rows.push_back(element<1>(name, how, f, r, std::move(options)));
  };
  row(
      "add", "x + number", [](auto x) { return x + 0.25; }, [](double x) { return x + 0.25; }, once);
  row(
      "add", "number + x", [](auto x) { return 2 + x; }, [](double x) { return 2 + x; }, once);
  row(
      "sub", "x - number", [](auto x) { return x - 1; }, [](double x) { return x - 1; }, once);
  row(
      "sub", "number - x", [](auto x) { return 1 - x; }, [](double x) { return 1 - x; }, once);
  row(
      "mul", "x number", [](auto x) { return x * 0.75; }, [](double x) { return x * 0.75; }, product);
  row(
      "mul", "number x", [](auto x) { return 3 * x; }, [](double x) { return 3 * x; }, product);
  row(
      "div", "x / number", [](auto x) { return x / 3; }, [](double x) { return x / 3; }, product);
  row(
      "div", "number / x", [](auto x) { return 1 / x; }, [](double x) { return 1 / x; }, positive);
  row(
      "maximum", "with a number", [](auto x) { return maximum(x, 0.25); }, [](double x) { return std::max(x, 0.25); },
      kink);
  row(
      "maximum", "of a number", [](auto x) { return maximum(0.25, x); }, [](double x) { return std::max(x, 0.25); },
      kink);
  row(
      "minimum", "with a number", [](auto x) { return minimum(x, 0.25); }, [](double x) { return std::min(x, 0.25); },
      kink);
  row(
      "less", "than a number", [](auto x) { return less(x, 0.25); }, [](double x) { return x < 0.25 ? 1.0 : 0.0; },
      kink);
  return rows;
}

ElementRow where_row() {
  return element<3>(
      "where", "", [](auto c, auto a, auto b) { return where(c, a, b); },
      [](double c, double a, double b) { return c != 0 ? a : b; }, {.domains = {{.mask = true}, {}, {}}});
}

ElementRow lerp_row() {
  return element<3>(
      "lerp", "", [](auto a, auto b, auto w) { return lerp(a, b, w); },
      [](double a, double b, double w) { return (1 - w) * a + w * b; },
      // Between operands of opposite sign the result cancels: what rounds is of the size of the operands, up to 4.
      {.domains = {{-2, 2}, {-2, 2}, {0, 1}}, .forward = {1, 8}, .backward = {2, 8}});
}

}  // namespace

TEST_CASE("broadcast: every op of two operands, each stretched over the other") {
  for (const ElementRow& r : binary_rows())
    for (const auto& [a, b] : broadcast_pairs()) {
      check_row(broadcasting(r.row, a, b));
      check_fused(broadcasting(r.fused, a, b));
    }
}

TEST_CASE("broadcast: every op of an operand and a number") {
  for (const ElementRow& r : number_rows()) {
    check_row(r.row);
    r.lanes();
    check_fused(r.fused);
  }
}

TEST_CASE("broadcast: an element's result does not depend on its position, and is that of a scalar") {
  for (const ElementRow& r : binary_rows()) r.lanes();
  where_row().lanes();
  lerp_row().lanes();
}

TEST_CASE("broadcast: lerp, its ends and its weight stretched") {
  const ElementRow r = lerp_row();
  for (const auto& [a, b] : broadcast_pairs()) {
    check_row(broadcasting(r.row, a, b));
    check_fused(broadcasting(r.fused, a, b));
  }
}

TEST_CASE("broadcast: where, its condition and its branches stretched") {
  const ElementRow r = where_row();
  for (const auto& [a, b] : broadcast_pairs()) {
    check_row(broadcasting(r.row, a, b));
    check_fused(broadcasting(r.fused, a, b));
  }
  check_row(element<2>(
                "where", "a number if not", [](auto c, auto a) { return where(c, a, 0.5); },
                [](double c, double a) { return c != 0 ? a : 0.5; }, {.domains = {{.mask = true}, {}}})
                .row);
  check_row(element<2>(
                "where", "a number if so", [](auto c, auto b) { return where(c, 0.5, b); },
                [](double c, double b) { return c != 0 ? 0.5 : b; }, {.domains = {{.mask = true}, {}}})
                .row);
}

TEST_CASE("broadcast: overlapping views of one array") {
  Rng rng(5);
  Array x = make_tensor<double>({40});
  for (double& v : x) v = rng.normal();
  expect_gradients({x}, {false}, [](Vars<double> v) {
    return Var<double>(slice(v[0], 0, 0, 39) * slice(v[0], 0, 1, 40) + square(slice(v[0], 0, 1, 40)) * v[0][0]);
  });
  Array m = make_tensor<double>({6, 21});
  for (double& v : m) v = rng.normal();
  expect_gradients({m}, {false}, [](Vars<double> v) {
    const auto left = slice(v[0], -1, 0, 19), right = slice(v[0], -1, 2, 21),
               down = slice(slice(v[0], 0, 1, 6), -1, 1, 20);
    return Var<double>(sin(slice(left, 0, 0, 5)) * slice(right, 0, 1, 6) * down);
  });
}

TEST_CASE("broadcast: parameters as rows, columns and scalars gather the gradient of all they served") {
  for (const Shape& shape : {Shape{9}, Shape{4, 1}, Shape{1}, Shape{}, Shape{3, 1, 1}, Shape{3, 4, 9}}) {
    CAPTURE(shape.text());
    Parameter<double> p(make_tensor<double>(shape, 0.5));
    Tape<double> tape;
    const Var<double> x = tape.filled({3, 4, 9}, 2);
    const auto loss = [&] { return sum(x * p); };
    tape.backward(loss());
    tape.backward(loss());
    const double each = 2 * 2 * 108.0 / static_cast<double>(shape.size());
    for (const double g : p.grad()) CHECK(g == doctest::Approx(each));
  }
}

TEST_CASE("broadcast: overlapping views, of more columns than go through a formula at a time") {
  const Index n = 5 * lanes<float> + 2;
  Tensor<float> x = make_tensor<float>({n});
  for (Index i = 0; i < n; ++i) x.data()[i] = static_cast<float>(i % 7);
  Tape<float> tape;
  const Var<float> v = tape.variable(x);
  tape.backward(sum(slice(v, 0, 0, n - 1) * slice(v, 0, 1, n)));
  for (Index i = 0; i < n; ++i) {
    CAPTURE(i);
    CHECK(v.grad()(i) == (i > 0 ? x.data()[i - 1] : 0) + (i + 1 < n ? x.data()[i + 1] : 0));
  }
}

TEST_CASE("broadcast: rows of gates of every width are what each is alone") {
  constexpr Index rows = 3, steps = 15;
  for (const Index width : {3 * lanes<float> + 1, Index{300}, Index{1100}}) {
    CAPTURE(width);
    Rng rng(3);
    Tensor<float> x = make_tensor<float>({steps, rows, 2 * width}), bias = make_tensor<float>({width}, 0.5F);
    for (float& v : x) v = static_cast<float>(rng.normal());
    const auto gated = [&](Var<float> v, Var<float> b) {
      const auto [gate, candidate] = split<2>(v);
      return Var<float>(sigmoid(gate + b) * tanh(candidate));
    };
    Tape<float> tape;
    const Var<float> v = tape.variable(x), b = tape.constant(bias), y = gated(v, b);
    tape.backward(sum(y));
    for (Index r = 0; r < steps * rows; ++r) {
      Tape<float> other;
      Tensor<float> row = make_tensor<float>({2 * width});
      std::copy_n(x.data() + r * 2 * width, 2 * width, row.data());
      const Var<float> alone = other.variable(row), result = gated(alone, other.constant(bias));
      other.backward(sum(result));
      const auto all = y.value(), all_grad = v.grad();
      CHECK(std::equal(result.value().begin(), result.value().end(), all.data() + r * width));
      CHECK(std::equal(alone.grad().begin(), alone.grad().end(), all_grad.data() + r * 2 * width));
    }
  }
}
