#include <autograd/ops/reference.h>
#include <unroll/autograd/ops/attention_scores.h>

using namespace unroll;
using namespace unroll::testing;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Sums of n products of numbers up to 2, or of their tanh, as those of products in linalg_test.cpp.
RowOptions sum_of(double n) {
  const Rounding r{.absolute = 4 * n * (n + 1)};
  return {.forward = r, .backward = r};
}

std::vector<Row> attention_rows() {
  std::vector<Row> rows;
  for (const Index units : {1, 5, 17}) {
    const auto n = static_cast<double>(std::max<Index>(units, 12));
    const std::string variant = fmt::format("{} units", units);
    rows.push_back(row(
        "additive_scores", variant, {{3, 4, units}, {3, units}, {units}},
        [](auto v) { return additive_scores(v[0], v[1], v[2]); },
        [units](const Arrays& x) {
          return tabulate({3, 4}, [&](const At& at) {
            double total = 0;
            for (Index u = 0; u < units; ++u)
              total +=
                  element_at(x[2], {u}) * std::tanh(element_at(x[0], {at[0], at[1], u}) + element_at(x[1], {at[0], u}));
            return total;
          });
        },
        sum_of(n)));
    rows.push_back(row(
        "dot_scores", variant, {{3, 4, units}, {3, units}}, [](auto v) { return dot_scores(v[0], v[1]); },
        [units](const Arrays& x) {
          return tabulate({3, 4}, [&](const At& at) {
            double total = 0;
            for (Index u = 0; u < units; ++u)
              total += element_at(x[0], {at[0], at[1], u}) * element_at(x[1], {at[0], u});
            return total;
          });
        },
        sum_of(n)));
    rows.push_back(row(
        "weighted_sum", variant, {{3, 4}, {3, 4, units}}, [](auto v) { return weighted_sum(v[0], v[1]); },
        [units](const Arrays& x) {
          return tabulate({3, units}, [&](const At& at) {
            double total = 0;
            for (Index t = 0; t < 4; ++t) total += element_at(x[0], {at[0], t}) * element_at(x[1], {at[0], t, at[1]});
            return total;
          });
        },
        sum_of(n)));
  }
  for (const Index size : {1, 2, 3, 11})
    rows.push_back(row(
        "sliding_windows", fmt::format("of {}", size), {{2, 5}}, [size](auto v) { return sliding_windows(v[0], size); },
        [size](const Arrays& x) {
          return tabulate({2, 5, size}, [&](const At& at) {
            const Index from = at[1] + at[2] - size / 2;
            return from < 0 || from >= 5 ? 0.0 : element_at(x[0], {at[0], from});
          });
        },
        sum_of(static_cast<double>(size))));
  return rows;
}

Array drawn(const Shape& shape, std::uint64_t seed) {
  Rng rng(seed);
  return tabulate(shape, [&](const At&) { return rng.normal(); });
}

/// [batch, time, ...] with `padding` behind the end of each row.
Array padded(Array x, const std::vector<Index>& lengths, double padding) {
  const Shape s = shape_of(x);
  const Index width = s.rank() == 3 ? s[2] : 1;
  for (Index b = 0; b < s[0]; ++b)
    for (Index i = lengths[static_cast<std::size_t>(b)] * width; i < s[1] * width; ++i)
      x.data()[b * s[1] * width + i] = padding;
  return x;
}

}  // namespace

TEST_CASE("attention scores: every row") {
  for (const Row& r : attention_rows()) check_row(r);
}

TEST_CASE("attention scores: what lies behind the end of a row is not read, and gets no gradient") {
  const std::vector<Index> lengths{2, 4, 0};
  const Array query = drawn({3, 5}, 1), v = drawn({5}, 2), keys = drawn({3, 4, 5}, 3), weights = drawn({3, 4}, 4);
  for (const int op : {0, 1, 2}) {
    const auto run = [&](Tape<double>& tape, double padding, std::span<const Index> of, std::vector<Array>& found) {
      const auto k = tape.variable(padded(keys, lengths, padding));
      const auto w = tape.variable(padded(weights, lengths, padding));
      const auto q = tape.variable(query);
      const Var<double> y = op == 0   ? additive_scores(k, q, tape.constant(v), of)
                            : op == 1 ? dot_scores(k, q, of)
                                      : weighted_sum(w, k, of);
      found.push_back(y.value());
      Array seed = drawn(y.shape(), 5);
      if (of.empty() && op < 2) seed = padded(seed, lengths, 0);
      tape.backward(y, seed);
      found.push_back(k.grad());
      if (op == 2) found.push_back(w.grad());
      if (op < 2) found.push_back(q.grad());
    };
    std::vector<Array> with_nan, with_zero;
    Tape<double> a, b;
    run(a, NAN, lengths, with_nan);
    run(b, 0, {}, with_zero);
    if (op < 2) with_zero[0] = padded(with_zero[0], lengths, -infinity);
    with_zero[1] = padded(with_zero[1], lengths, 0);
    if (op == 2) with_zero[2] = padded(with_zero[2], lengths, 0);
    for (std::size_t i = 0; i < with_nan.size(); ++i) {
      CAPTURE(op);
      CAPTURE(i);
      CHECK(with_nan[i] == with_zero[i]);
    }
  }
}

TEST_CASE("attention scores: what does not fit is refused") {
  Tape<double> tape;
  const auto keys = tape.zeros({3, 4, 5});
  CHECK_THROWS_WITH_AS(additive_scores(keys, tape.zeros({3, 4}), tape.zeros({5})),
                       "additive_scores: keys [3, 4, 5], a query [3, 4] and weights [5] do not fit", ShapeError);
  CHECK_THROWS_WITH_AS(dot_scores(keys, tape.zeros({2, 5})), "dot_scores: keys [3, 4, 5] and a query [2, 5] do not fit",
                       ShapeError);
  CHECK_THROWS_WITH_AS(weighted_sum(tape.zeros({3, 5}), keys),
                       "weighted_sum: weights [3, 5] and values [3, 4, 5] do not fit", ShapeError);
  CHECK_THROWS_WITH_AS(dot_scores(keys, tape.zeros({3, 5}), std::vector<Index>{1, 2}),
                       "dot_scores: 2 lengths for the source [3, 4, 5]", ShapeError);
  CHECK_THROWS_WITH_AS(dot_scores(keys, tape.zeros({3, 5}), std::vector<Index>{1, 2, 5}),
                       "dot_scores: length 5 of row 2 in [3, 4, 5]", ShapeError);
  CHECK_THROWS_WITH_AS(sliding_windows(keys, 0), "sliding_windows: a window of 0", ValueError);
}
