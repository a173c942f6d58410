#include <autograd/ops/reference.h>

using namespace unroll;
using namespace unroll::testing;

namespace {

// Rows of lengths 4, 2 and 1, and one without a step.
const std::vector<Index> alive{3, 2, 1, 1}, offsets{0, 3, 5, 6};
const ScanSteps steps{alive, offsets};
constexpr Index rows_in_all = 7, batch = 4;

/// The row before row r, as {step, row}, or step -1 and the row of the start.
Index before(Index r) {
  for (std::size_t t = 1; t < offsets.size(); ++t)
    if (r >= offsets[t] && r < offsets[t] + alive[t]) return offsets[t - 1] + r - offsets[t];
  return -1 - r;
}

std::vector<Row> scan_rows() {
  std::vector<Row> rows;
  const auto add = [&](const char* name, const char* variant, std::vector<Shape> shapes, auto f, auto reference) {
    rows.push_back(row(name, variant, std::move(shapes), f, reference,
                       {.forward = {.absolute = 64}, .backward = {.absolute = 512}}));
  };
  for (const Index width : {1, 3, 17}) {
    const Shape all{rows_in_all, width}, start{batch, width};
    add(
        "scan_rows", "", {all, all, start},
        [](auto v) { return scan_rows(v[2], steps, [&](auto h) { return v[0] * h + v[1]; }); },
        [=](const Arrays& x) {
          Array h = make_tensor<double>(all);
          for (Index r = 0; r < rows_in_all; ++r)
            for (Index j = 0; j < width; ++j) {
              const Index p = before(r);
              const double last = p < 0 ? x[2].data()[(-1 - p) * width + j] : h.data()[p * width + j];
              h.data()[r * width + j] = x[0].data()[r * width + j] * last + x[1].data()[r * width + j];
            }
          return h;
        });
    add(
        "scan_rows", "twice, and one row for all", {{1, width}, {rows_in_all, 1}, start},
        [](auto v) { return scan_rows(v[2], steps, [&](auto h) { return tanh(v[0] * h) + v[1] * h; }); },
        [=](const Arrays& x) {
          Array h = make_tensor<double>(all);
          for (Index r = 0; r < rows_in_all; ++r)
            for (Index j = 0; j < width; ++j) {
              const Index p = before(r);
              const double last = p < 0 ? x[2].data()[(-1 - p) * width + j] : h.data()[p * width + j];
              h.data()[r * width + j] = std::tanh(x[0].data()[j] * last) + x[1].data()[r] * last;
            }
          return h;
        });
    add(
        "last_rows", "", {all, start}, [](auto v) { return last_rows(v[0], v[1], steps); },
        [=](const Arrays& x) {
          constexpr std::array<Index, 3> last{6, 4, 2};
          return tabulate(start, [&](const At& at) {
            return at[0] < 3 ? x[0].data()[last[static_cast<std::size_t>(at[0])] * width + at[1]]
                             : x[1].data()[at[0] * width + at[1]];
          });
        });
    add(
        "previous_rows", "", {all, start}, [](auto v) { return previous_rows(v[0], v[1], steps); },
        [=](const Arrays& x) {
          return tabulate(all, [&](const At& at) {
            const Index p = before(at[0]);
            return p < 0 ? x[1].data()[(-1 - p) * width + at[1]] : x[0].data()[p * width + at[1]];
          });
        });
  }
  return rows;
}

}  // namespace

TEST_CASE("scan: every op does what its row says") {
  for (const Row& r : scan_rows()) check_row(r);
}

TEST_CASE("scan: the gradient left at the result is that of the whole future") {
  Tape<double> tape;
  const auto a = tape.filled({3, 1}, 0.5), b = tape.variable(make_tensor<double>({3, 1}, 1.0));
  const std::vector<Index> one{1, 1, 1}, at{0, 1, 2};
  const auto h = scan_rows(tape.zeros({1, 1}), {one, at}, [&](auto last) { return a * last + b; });
  tape.backward(sum(slice(h, 0, 2, 3)));
  CHECK(h.grad()(0, 0) == 0.25);
  CHECK(h.grad()(1, 0) == 0.5);
  CHECK(b.grad()(0, 0) == 0.25);
}

TEST_CASE("scan: a formula of parameters alone is on the tape of its start") {
  Tape<double> tape;
  const Parameter<double> p(make_tensor<double>({7, 2}, 3.0));
  const auto y = scan_rows(tape.zeros({4, 2}), steps, [&](auto) { return p * p; });
  tape.backward(sum(y));
  CHECK(y.value()(6, 1) == 9);
  CHECK(p.grad()(6, 1) == 6);
}

TEST_CASE("scan: the last row itself is a formula") {
  Tape<double> tape;
  const auto start = tape.variable(make_tensor<double>({4, 2}, 3.0));
  const auto y = scan_rows(start, steps, [](auto h) { return h; });
  tape.backward(sum(y));
  CHECK(y.value()(6, 1) == 3);
  CHECK(start.grad()(0, 1) == 4);
  CHECK(start.grad()(3, 1) == 0);
}

TEST_CASE("scan: rows that do not fit are refused") {
  Tape<double> tape;
  const auto x = tape.zeros({6, 2}), start = tape.zeros({4, 2});
  CHECK_THROWS_WITH_AS(scan_rows(start, steps, [&](auto h) { return h + x; }), "add: extents differ: [7, 2] and [6, 2]",
                       ShapeError);
  const std::vector<Index> more{4, 4}, from{0, 4};
  CHECK_THROWS_WITH_AS(scan_rows(tape.zeros({3, 2}), {more, from}, [&](auto h) { return 0.5 * h; }),
                       "scan_rows: rows [8, 2] and a start [3, 2] do not fit 2 steps of 4 rows", ShapeError);
  const std::vector<Index> rising{1, 2}, at{0, 1};
  CHECK_THROWS_AS(last_rows(tape.zeros({3, 2}), start, {rising, at}), ShapeError);
}
