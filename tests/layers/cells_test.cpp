#include <layers/compare.h>
#include <layers/mgu_cell.h>
#include <layers/numpy_parity.h>
#include <unroll/layers/check_cell.h>

using namespace unroll;

// The built-in cells, one by one: values and gradients of an independent reference that was written in NumPy from the
// papers' equations (fixtures/make_numpy_fixtures.py). That gradients agree with differences says the certificate of
// each (certificate/certify.cpp); here are other widths, and a user's cell.

namespace {

void expect(const GradientReport& report) {
  INFO(report.text());
  CHECK(report);
  CHECK(report.entries > 1000);
}

}  // namespace

TEST_CASE("cells: a user's minimal gated unit") { expect(check_cell<MGUCell>({.in = 3, .width = 4})); }
TEST_CASE("cells: a width that fills no vector, and one that fills some") {
  expect(check_cell<LSTMCell>({.in = 1, .width = 3}));
  expect(check_cell<GRUCell>({.in = 2, .width = 7, .seed = 2}));
}

TEST_CASE_TEMPLATE("cells: each agrees with the equations of its paper", T, float, double) {
  for (const std::string& name : cell_names())
    for (const bool scan : {true, false}) {
      const Parity parity = numpy_parity::of_cell<T>(name, scan);
      CAPTURE(parity.of);
      CAPTURE(scan);
      CHECK(parity.worst <= parity_tolerance<T>);
    }
}

TEST_CASE("cells: a name that is unknown is refused with those that are known") {
  Rng rng;
  CHECK_THROWS_WITH_AS(AnyCell<float>(1, 1, rng, "lsmt"),
                       doctest::Contains("cell: lsmt is none of rnn, rnn-relu, irnn, gru, "), ValueError);
}

TEST_CASE("cells: a cell chosen by name has the parameters of its type") {
  Rng a{1}, b{1};
  const Recurrent<AnyCell<>> named(3, 4, a, "lstm");
  const LSTM<> typed(3, 4, b);
  CHECK(describe(named) == describe(typed));
}
