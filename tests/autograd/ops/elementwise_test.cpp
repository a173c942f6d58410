#include <autograd/ops/element_rows.h>

using namespace unroll;
using namespace unroll::testing;

namespace {

double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }

// How far rounding may carry a result is counted from the functions a rule is made of (simd_test.cpp bounds each) and
// the roundings after them; a sum of terms of one sign adds nothing, a difference from 1 makes an error absolute.
std::vector<ElementRow> element_rows() {
  const Domain away_from_zero{.kinks = {0}}, positive{.low = 0.1, .high = 4};
  std::vector<ElementRow> rows;
  const auto row = [&](const char* name, auto f, auto r, RowOptions options) {
    rows.push_back(element<1>(name, "", f, r, std::move(options)));
  };
  const auto variant = [&](const char* name, const char* how, auto f, auto r, RowOptions options) {
    rows.push_back(element<1>(name, how, f, r, std::move(options)));
  };
  row(
      "neg", [](auto x) { return -x; }, [](double x) { return -x; }, {});
  row(
      "exp", [](auto x) { return exp(x); }, [](double x) { return std::exp(x); }, {.forward = {3}, .backward = {4}});
  row(
      "log", [](auto x) { return log(x); }, [](double x) { return std::log(x); },
      {.domains = {positive}, .forward = {2}, .backward = {1}});
  row(
      "log1p", [](auto x) { return log1p(x); }, [](double x) { return std::log1p(x); },
      {.domains = {{-0.8, 2}}, .forward = {2}, .backward = {2}});
  row(
      "expm1", [](auto x) { return expm1(x); }, [](double x) { return std::expm1(x); },
      {.forward = {4}, .backward = {6, 4}});
  row(
      "sqrt", [](auto x) { return sqrt(x); }, [](double x) { return std::sqrt(x); },
      {.domains = {positive}, .forward = {1}, .backward = {3}});
  row(
      "square", [](auto x) { return square(x); }, [](double x) { return x * x; }, {.forward = {1}, .backward = {2}});
  row(
      "abs", [](auto x) { return abs(x); }, [](double x) { return std::abs(x); }, {.domains = {away_from_zero}});
  row(
      "sin", [](auto x) { return sin(x); }, [](double x) { return std::sin(x); }, {.forward = {4}, .backward = {5}});
  row(
      "cos", [](auto x) { return cos(x); }, [](double x) { return std::cos(x); }, {.forward = {4}, .backward = {5}});
  row(
      "tanh", [](auto x) { return tanh(x); }, [](double x) { return std::tanh(x); },
      {.forward = {8}, .backward = {3, 17}});
  row("sigmoid", [](auto x) { return sigmoid(x); }, sigmoid_of, {.forward = {6}, .backward = {9, 6}});
  row(
      "log_sigmoid", [](auto x) { return log_sigmoid(x); }, [](double x) { return std::log(sigmoid_of(x)); },
      {.forward = {6, 2}, .backward = {7}});
  row(
      "softplus", [](auto x) { return softplus(x); }, [](double x) { return std::log1p(std::exp(x)); },
      {.forward = {6}, .backward = {7}});
  row(
      "softsign", [](auto x) { return softsign(x); }, [](double x) { return x / (1 + std::abs(x)); },
      {.domains = {away_from_zero}, .forward = {2}, .backward = {4}});
  row(
      "relu", [](auto x) { return relu(x); }, [](double x) { return std::max(x, 0.0); }, {.domains = {away_from_zero}});
  row(
      "gelu", [](auto x) { return gelu(x); }, [](double x) { return x * 0.5 * std::erfc(-x / std::numbers::sqrt2); },
      {.forward = {2, 7}, .backward = {3, 8}, .double_factor = 20});  // see erf in simd_test.cpp
  row(
      "silu", [](auto x) { return silu(x); }, [](double x) { return x * sigmoid_of(x); },
      {.forward = {7}, .backward = {2, 22}});
  row(
      "leaky_relu", [](auto x) { return leaky_relu(x); }, [](double x) { return x > 0 ? x : 0.01 * x; },
      {.domains = {away_from_zero}, .forward = {2}, .backward = {2}});
  row(
      "elu", [](auto x) { return elu(x); }, [](double x) { return x > 0 ? x : std::expm1(x); },
      {.domains = {away_from_zero}, .forward = {4}, .backward = {2, 5}});
  variant(
      "elu", "alpha 0.7", [](auto x) { return elu(x, 0.7); }, [](double x) { return x > 0 ? x : 0.7 * std::expm1(x); },
      {.domains = {away_from_zero}, .forward = {6}, .backward = {2, 7}});
  // An error of e^z with z = p log|x| is that of z, which is 2.5 |z| units, and that of exp.
  variant(
      "pow", "2.5", [](auto x) { return pow(x, 2.5); }, [](double x) { return std::pow(x, 2.5); },
      {.domains = {{0.2, 3}}, .forward = {14}, .backward = {14}});
  variant(
      "pow", "3, of both signs", [](auto x) { return pow(x, 3); }, [](double x) { return x * x * x; },
      {.domains = {away_from_zero}, .forward = {45}, .backward = {35}});
  variant(
      "pow", "-2, of both signs", [](auto x) { return pow(x, -2); }, [](double x) { return 1 / (x * x); },
      {.domains = {{.low = -3, .high = -0.5}}, .forward = {10}, .backward = {14}});
  row(
      "clamp", [](auto x) { return clamp(x, -0.5, 0.75); }, [](double x) { return std::min(std::max(x, -0.5), 0.75); },
      {.domains = {{.kinks = {-0.5, 0.75}}}});
  return rows;
}

}  // namespace

TEST_CASE("elementwise: value, gradient and Jacobian of every row, in both precisions, strided, twice") {
  for (const ElementRow& r : element_rows()) check_row(r.row);
}

TEST_CASE("elementwise: an element's result does not depend on its position, and is that of a scalar") {
  for (const ElementRow& r : element_rows()) r.lanes();
}

TEST_CASE("elementwise: every op inside a formula, its operand stretched over another") {
  const Shape whole{2, 3, 9};
  for (const ElementRow& r : element_rows())
    for (const Shape& s : {whole, Shape{9}, Shape{3, 1}, Shape{}, Shape{2, 1, 9}, Shape{3, 9}}) {
      Row fused = r.fused;
      fused.shapes = {s, whole};
      fused.variant += fmt::format(", {}", s);
      check_fused(fused);
    }
}
