#include <layers/compare.h>
#include <layers/mgu_cell.h>
#include <unroll/layers/check_cell.h>

using namespace unroll;

// The built-in cells, one by one: gradients, and values and gradients of an independent reference that was written in
// NumPy from the papers' equations (fixtures/make_numpy_fixtures.py).

namespace {


template <Real T>
void agrees_with_reference(const std::string& name, bool scan) {
  CAPTURE(name);
  CAPTURE(scan);
  const Fixture f("cell_" + name);
  const Index out = shape_of(f.at("y"))[2], width = name == "lstm-projection" ? 5 : out;
  Rng rng;
  Recurrent<AnyCell<T>> layer(shape_of(f.at("x"))[2], width, rng, name);
  layer.scan = scan;
  for_each_parameter(layer.cell, [&](const std::string& path, Parameter<T>& p) {
    CAPTURE(path);
    const auto value = f.as<T>("param/" + path);
    REQUIRE(shape_of(value) == p.shape());
    p.edit() = value;
  });
  Tape<T> tape;
  const auto x = tape.variable(f.as<T>("x"));
  std::vector<Var<T>> start;
  const auto state = map_vars(layer.initial(tape, x.shape()[1]), [&](Var<T> v) {
    start.push_back(tape.variable(f.as<T>(fmt::format("s{}", start.size()))));
    REQUIRE(start.back().shape() == v.shape());
    return start.back();
  });
  const auto unrolled = layer(x, state);
  f.expect("y", unrolled.outputs.value());
  Var<T> loss = sum(unrolled.outputs * tape.constant(f.as<T>("seed_y")));
  int k = 0;
  for_each_var(unrolled.last, [&](const Var<T>& v) {
    f.expect(fmt::format("last{}", k), v.value());
    loss = loss + sum(v * tape.constant(f.as<T>(fmt::format("seed{}", k++))));
  });
  tape.backward(loss);
  f.expect("grad/x", x.grad());
  for (std::size_t i = 0; i < start.size(); ++i) f.expect(fmt::format("grad/s{}", i), start[i].grad());
  for_each_parameter(layer.cell,
                     [&](const std::string& path, const Parameter<T>& p) { f.expect("grad/param/" + path, p.grad()); });
}

void expect(const GradientReport& report) {
  INFO(report.text());
  CHECK(report);
  CHECK(report.entries > 1000);
}

}  // namespace

TEST_CASE("cells: gradients of each agree with differences") {
  for (const std::string& name : cell_names()) {
    CAPTURE(name);
    expect(check_cell([&](Index in, Index width, Rng& rng) { return AnyCell<double>(in, width, rng, name); },
                      {.in = 3, .width = 4}));
  }
}
TEST_CASE("cells: a user's minimal gated unit") { expect(check_cell<MGUCell>({.in = 3, .width = 4})); }
TEST_CASE("cells: a width that fills no vector, and one that fills some") {
  expect(check_cell<LSTMCell>({.in = 1, .width = 3}));
  expect(check_cell<GRUCell>({.in = 2, .width = 7, .seed = 2}));
}

TEST_CASE_TEMPLATE("cells: each agrees with the equations of its paper", T, float, double) {
  for (const std::string& name : cell_names())
    for (const bool scan : {true, false}) agrees_with_reference<T>(name, scan);
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
