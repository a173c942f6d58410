#include <autograd/ops/reference.h>

using namespace unroll;
using namespace unroll::testing;

namespace {

// Three rows of 3, 2 and 1 steps.
const std::vector<Index> alive{3, 2, 1}, offsets{0, 3, 5};
const ScanSteps steps{alive, offsets};
constexpr Index batch = 3, rows_in_all = 6;

/// The scores of a chain as arrays: emissions, transitions, start, end.
struct Scores {
  const Arrays& x;
  Index labels = shape_of(x[2]).size();

  double of(Index i, const std::vector<std::int32_t>& path) const {
    double total = x[2].data()[path[0]] + x[3].data()[path.back()];
    for (std::size_t t = 0; t < path.size(); ++t) {
      total += x[0].data()[(offsets[t] + i) * labels + path[t]];
      if (t > 0) total += x[1].data()[path[t - 1] * labels + path[t]];
    }
    return total;
  }
  /// f(path, its score) of each path of row i.
  template <class F>
  void for_each_path(Index i, F f) const {
    std::vector<std::int32_t> path(static_cast<std::size_t>(3 - i), 0);
    for (bool more = true; more;) {
      f(path, of(i, path));
      more = false;
      for (std::size_t t = 0; t < path.size() && !more; ++t) {
        more = path[t] + 1 < labels;
        path[t] = more ? path[t] + 1 : 0;
      }
    }
  }
  double log_z(Index i) const {
    double total = 0;
    for_each_path(i, [&](const auto&, double score) { total += std::exp(score); });
    return std::log(total);
  }
};

template <class F>
Array of_each_row(F f) {
  return tabulate({batch}, [&](const At& at) { return f(at[0]); });
}

std::vector<std::int32_t> path_of(Index labels) {
  std::vector<std::int32_t> path;
  for (Index r = 0; r < rows_in_all; ++r) path.push_back(static_cast<std::int32_t>((2 * r + 1) % labels));
  return path;
}
std::vector<std::int32_t> row_of_path(const std::vector<std::int32_t>& path, Index i) {
  std::vector<std::int32_t> result;
  for (Index t = 0; t < 3 - i; ++t)
    result.push_back(path[static_cast<std::size_t>(offsets[static_cast<std::size_t>(t)] + i)]);
  return result;
}

std::vector<Row> chain_rows() {
  std::vector<Row> rows;
  for (const Index k : {1, 2, 3, 9}) {
    const std::vector<Shape> shapes{{rows_in_all, k}, {k, k}, {k}, {k}};
    const auto path = path_of(k);
    const std::string variant = fmt::format("{} labels", k);
    // A path's score is a sum of up to 8 scores below 2; gradients are probabilities times a few of these.
    const RowOptions options{.domains = {{-2, 2}}, .forward = {.absolute = 512}, .backward = {.absolute = 2048}};
    rows.push_back(row(
        "chain_log_partition", variant, shapes,
        [](auto v) { return chain_log_partition(v[0], v[1], v[2], v[3], steps); },
        [](const Arrays& x) { return of_each_row([&](Index i) { return Scores{x}.log_z(i); }); }, options));
    rows.push_back(row(
        "chain_score", variant, shapes, [=](auto v) { return chain_score(v[0], v[1], v[2], v[3], path, steps); },
        [=](const Arrays& x) { return of_each_row([&](Index i) { return Scores{x}.of(i, row_of_path(path, i)); }); },
        options));
    rows.push_back(row(
        "chain_nll", variant, shapes, [=](auto v) { return chain_nll(v[0], v[1], v[2], v[3], path, steps); },
        [=](const Arrays& x) {
          return of_each_row([&](Index i) { return Scores{x}.log_z(i) - Scores{x}.of(i, row_of_path(path, i)); });
        },
        options));
    rows.push_back(row(
        "chain_marginals", variant, shapes, [](auto v) { return chain_marginals(v[0], v[1], v[2], v[3], steps); },
        [=](const Arrays& x) {
          Array y = make_tensor<double>({rows_in_all, k}, 0.0);
          for (Index i = 0; i < batch; ++i)
            Scores{x}.for_each_path(i, [&](const auto& labels, double score) {
              for (std::size_t t = 0; t < labels.size(); ++t)
                y.data()[(offsets[t] + i) * k + labels[t]] += std::exp(score - Scores{x}.log_z(i));
            });
          return y;
        },
        options));
    rows.push_back(row(
        "chain_entropy", variant, shapes, [](auto v) { return chain_entropy(v[0], v[1], v[2], v[3], steps); },
        [](const Arrays& x) {
          return of_each_row([&](Index i) {
            double h = 0;
            const double log_z = Scores{x}.log_z(i);
            Scores{x}.for_each_path(i, [&](const auto&, double s) { h -= std::exp(s - log_z) * (s - log_z); });
            return h;
          });
        },
        options));
  }
  return rows;
}

}  // namespace

TEST_CASE("chain: every op does what its row says") {
  for (const Row& r : chain_rows()) check_row(r);
}

TEST_CASE("chain: what does not fit is refused") {
  Tape<double> tape;
  const auto x = tape.zeros({6, 2}), a = tape.zeros({2, 2}), s = tape.zeros({2});
  CHECK_THROWS_WITH_AS(chain_log_partition(x, tape.zeros({2, 3}), s, s, steps),
                       "chain_log_partition: emissions [6, 2], transitions [2, 3], start [2] and end [2] do not fit",
                       ShapeError);
  CHECK_THROWS_AS(chain_entropy(x, a, s, tape.zeros({3}), steps), ShapeError);
  CHECK_THROWS_AS(chain_marginals(tape.zeros({5, 2}), a, s, s, steps), ShapeError);
  const std::vector<std::int32_t> few{0, 1}, far{0, 1, 0, 2, 0, 0};
  CHECK_THROWS_WITH_AS(chain_nll(x, a, s, s, few, steps), "chain_nll: 2 labels for emissions [6, 2]", ShapeError);
  CHECK_THROWS_WITH_AS(chain_score(x, a, s, s, far, steps), "chain_score: label 2 of row 3 is outside 0 .. 1",
                       IndexError);
}

TEST_CASE("chain: a batch of no step has no result") {
  Tape<double> tape;
  const auto y = chain_log_partition(tape.zeros({0, 2}), tape.zeros({2, 2}), tape.zeros({2}), tape.zeros({2}), {});
  CHECK(y.shape() == Shape{0});
}

TEST_CASE("chain: a row without a path has no gradient, and makes no NaN") {
  Tape<double> tape;
  Array a = make_tensor<double>({2, 2}, -INFINITY);
  const auto x = tape.variable(make_tensor<double>({6, 2}, 0.5)), transitions = tape.variable(a), s = tape.zeros({2});
  const auto z = chain_log_partition(x, transitions, s, s, steps);
  CHECK(z.value()(0) == -INFINITY);
  CHECK(z.value()(1) == -INFINITY);
  CHECK(z.value()(2) == doctest::Approx(0.5 + std::log(2)));
  const auto h = chain_entropy(x, transitions, s, s, steps);
  CHECK(h.value()(2) == doctest::Approx(std::log(2)));
  tape.backward(sum(z) + sum(h) + sum(square(chain_marginals(x, transitions, s, s, steps))));
  for (const double g : x.grad()) CHECK(std::isfinite(g));
  for (const double g : transitions.grad()) CHECK(g == 0);
  CHECK(x.grad()(2, 0) == doctest::Approx(0.5));
  CHECK(x.grad()(0, 0) == 0);
}
