#include <autograd/ops/reference.h>

#include <numeric>

using namespace unroll;
using namespace unroll::testing;

namespace {

double total_of(const std::vector<double>& x) { return std::accumulate(x.begin(), x.end(), 0.0); }
double log_sum_exp(const std::vector<double>& x) {
  double total = 0;
  for (const double v : x) total += std::exp(v);
  return std::log(total);
}
double length_of(const std::vector<double>& x) {
  double total = 0;
  for (const double v : x) total += v * v;
  return std::sqrt(total);
}

// Lines have at most 24 elements of at most 2: a sum errs by 24 units of 48. A logsumexp is below 6; an error of it and
// of the exponent are relative errors of a softmax, which is below 1.
constexpr Rounding sums{.absolute = 24 * 48}, logs{.absolute = 64}, shares{.absolute = 64};

std::vector<Row> reduce_rows() {
  std::vector<Row> rows;
  const auto add = [&](const char* name, std::string variant, const Shape& shape, auto f, auto reference,
                       Rounding forward, Rounding backward) {
    rows.push_back(row(name, std::move(variant), {shape}, f, reference, {.forward = forward, .backward = backward}));
  };
  /// A function of a line gives one number, in place of the axis.
  const auto along = [](int axis, auto of_line) {
    return [=](const Arrays& x) {
      const Shape s = shape_of(x[0]);
      const int d = s.position(axis);
      return tabulate(s.without(d), [&](const At& at) { return of_line(line(x[0], at, d)); });
    };
  };
  /// A function of a line and of the position in it gives each element.
  const auto each = [](int axis, auto of_line) {
    return [=](const Arrays& x) {
      const Shape s = shape_of(x[0]);
      const int d = s.position(axis);
      return tabulate(s, [&](const At& at) {
        At rest{};
        for (std::size_t i = 0, to = 0; i < at.size(); ++i)
          if (static_cast<int>(i) != d) rest[to++] = at[i];
        return of_line(line(x[0], rest, d), static_cast<std::size_t>(at[static_cast<std::size_t>(d)]));
      });
    };
  };
  const auto all = [](auto of_line) {
    return [=](const Arrays& x) { return Array(of_line(std::vector<double>(x[0].begin(), x[0].end()))); };
  };
  const auto mean_of = [](const std::vector<double>& x) { return total_of(x) / static_cast<double>(x.size()); };
  const auto largest = [](const std::vector<double>& x) { return *std::max_element(x.begin(), x.end()); };
  for (const Shape& s : {Shape{}, Shape{11}, Shape{3, 5}, Shape{2, 3, 4}, Shape{1, 1}}) {
    add("sum", s.text(), s, [](auto v) { return sum(v[0]); }, all(total_of), sums, {});
    add("mean", s.text(), s, [](auto v) { return mean(v[0]); }, all(mean_of), {.absolute = 2 * 24 + 4},
        {.absolute = 2});
    add("norm", s.text(), s, [](auto v) { return norm(v[0]); }, all(length_of), {.relative = 32}, {.absolute = 40});
  }
  for (const Shape& s : {Shape{11}, Shape{3, 5}, Shape{2, 3, 4}, Shape{3, 1, 2}})
    for (int axis = -1; axis < s.rank(); ++axis) {
      const std::string how = fmt::format("{}, axis {}", s, axis);
      add("sum", how, s, [axis](auto v) { return sum(v[0], axis); }, along(axis, total_of), sums, {});
      add("mean", how, s, [axis](auto v) { return mean(v[0], axis); }, along(axis, mean_of), {.absolute = 52},
          {.absolute = 2});
      add("max", how, s, [axis](auto v) { return max(v[0], axis); }, along(axis, largest), {}, {});
      add("norm", how, s, [axis](auto v) { return norm(v[0], axis); }, along(axis, length_of), {.relative = 32},
          {.absolute = 40});
      add(
          "logsumexp", how, s, [axis](auto v) { return logsumexp(v[0], axis); }, along(axis, log_sum_exp), logs,
          shares);
      add("softmax", how, s, [axis](auto v) { return softmax(v[0], axis); },
          each(axis, [](const auto& x, std::size_t k) { return std::exp(x[k] - log_sum_exp(x)); }), shares,
          {.absolute = 256});
      add("log_softmax", how, s, [axis](auto v) { return log_softmax(v[0], axis); },
          each(axis, [](const auto& x, std::size_t k) { return x[k] - log_sum_exp(x); }), logs, {.absolute = 24 * 64});
      add(
          "cumsum", how, s, [axis](auto v) { return cumsum(v[0], axis); },
          each(axis,
               [](const auto& x, std::size_t k) {
                 return std::accumulate(x.begin(), x.begin() + static_cast<Index>(k) + 1, 0.0);
               }),
          sums, sums);
    }
  for (const Index width : {1, 5, 17}) {
    static const std::vector<Index> segments{1, 0, 1, 3, 1, 3};
    rows.push_back(row(
        "segment_sum", fmt::format("{}", width), {{6, width}}, [](auto v) { return segment_sum(v[0], segments, 5); },
        [width](const Arrays& x) {
          Array y = make_tensor<double>({5, width}, 0.0);
          for (std::size_t r = 0; r < segments.size(); ++r)
            for (Index j = 0; j < width; ++j)
              y.data()[segments[r] * width + j] += x[0].data()[static_cast<Index>(r) * width + j];
          return y;
        },
        {.forward = sums}));
  }
  return rows;
}

template <class F>
Array applied(const Array& x, F f) {
  Tape<double> tape;
  return value_of(Var<double>(f(tape.constant(x))));
}

}  // namespace

TEST_CASE("reduce: every row") {
  for (const Row& r : reduce_rows()) check_row(r);
}

TEST_CASE("reduce: no overflow, and the limits") {
  const Array huge{1e4, 1e4, -1e4}, none{-INFINITY, -INFINITY}, some{-INFINITY, 1.0, 1.0};
  CHECK(applied(huge, [](auto x) { return logsumexp(x); })() == doctest::Approx(1e4 + std::log(2)));
  CHECK(applied(none, [](auto x) { return logsumexp(x); })() == -INFINITY);
  CHECK(applied(some, [](auto x) { return logsumexp(x); })() == doctest::Approx(1 + std::log(2)));
  CHECK(applied(Array{1.0, INFINITY}, [](auto x) { return logsumexp(x); })() == INFINITY);
  CHECK(std::isnan(applied(Array{-INFINITY, NAN}, [](auto x) { return logsumexp(x); })()));
  CHECK(excess(applied(huge, [](auto x) { return softmax(x); }), Array{0.5, 0.5, 0}, {.relative = 4}, u_double) == 0);
  CHECK(excess(applied(some, [](auto x) { return softmax(x); }), Array{0, 0.5, 0.5}, {.relative = 4}, u_double) == 0);
  CHECK(applied(some, [](auto x) { return log_softmax(x); })(0) == -INFINITY);
  CHECK(applied(Array{3e200, 4e200}, [](auto x) { return norm(x); })() == doctest::Approx(5e200));
  CHECK(applied(Array{3e-200, 4e-200}, [](auto x) { return norm(x); })() == doctest::Approx(5e-200));
  CHECK(applied(Array{3.0, -INFINITY}, [](auto x) { return norm(x); })() == INFINITY);
  CHECK(std::isnan(applied(Array{3.0, NAN, 1.0}, [](auto x) { return norm(x); })()));
  CHECK(std::isnan(applied(Array{3.0, NAN, 4.0}, [](auto x) { return max(x, 0); })()));
}

TEST_CASE("reduce: a softmax is as accurate far from zero as near it") {
  Tape<float> tape;
  const Var<float> x = tape.constant(Tensor<float>{12345.F, 12346.F, 12345.F});
  const double e = std::exp(1.0);
  const Array shares{1 / (2 + e), e / (2 + e), 1 / (2 + e)};
  CHECK(excess(value_of(softmax(x)), shares, {.relative = 8}, u_float) == 0);
  CHECK(excess(value_of(log_softmax(x)), Array(xt::log(shares)), {.relative = 8}, u_float) == 0);
}

TEST_CASE("reduce: gradients where a formula would divide by zero or be undecided") {
  Tape<double> tape;
  const auto grad = [&](const Array& x, auto f) {
    const Var<double> v = tape.variable(x);
    return tape.gradient(f(v), Array(1.0), v);
  };
  CHECK(grad(Array{0, 0}, [](auto x) { return norm(x); }) == Array{0, 0});
  CHECK(grad(Array{-INFINITY, -INFINITY}, [](auto x) { return logsumexp(x); }) == Array{0, 0});
  CHECK(grad(Array{-INFINITY, 2}, [](auto x) { return logsumexp(x); }) == Array{0, 1});
  CHECK(grad(Array{1, 3, 3}, [](auto x) { return max(x, 0); }) == Array{0, 1, 0});
}

TEST_CASE("reduce: of nothing") {
  Tape<double> tape;
  const Var<double> none = tape.constant(make_tensor<double>({2, 0}));
  CHECK(sum(none).item() == 0);
  CHECK(sum(none, 1).value() == Array{0, 0});
  CHECK(sum(none, 0).shape() == Shape{0});
  CHECK(norm(none).item() == 0);
  CHECK(logsumexp(none, 1).value() == Array{-INFINITY, -INFINITY});
  CHECK(softmax(none).shape() == Shape{2, 0});
  CHECK(cumsum(none, 0).shape() == Shape{2, 0});
  CHECK_THROWS_WITH_AS(mean(none), "mean: [2, 0] has no elements", ShapeError);
  CHECK_THROWS_WITH_AS(mean(none, 1), "mean: axis 1 of [2, 0] is empty", ShapeError);
  CHECK_THROWS_WITH_AS(max(none, 1), "max: axis 1 of [2, 0] is empty", ShapeError);
  CHECK(max(none, 0).shape() == Shape{0});
}

TEST_CASE("reduce: segments that do not fit are errors") {
  Tape<double> tape;
  const auto x = tape.zeros({2, 3});
  CHECK_THROWS_WITH_AS(segment_sum(x, std::vector<Index>{0, 2}, 2), "segment_sum: segment 2 is not among 2",
                       IndexError);
  CHECK_THROWS_WITH_AS(segment_sum(x, std::vector<Index>{0}, 2), "segment_sum: 1 segments for the rows of [2, 3]",
                       ShapeError);
  CHECK(value_of(segment_sum(x, std::vector<Index>{0, 0}, 2)).shape(0) == 2);
}
