#include <autograd/ops/reference.h>

using namespace unroll;
using namespace unroll::testing;

namespace {

const std::vector<std::int32_t> ids{4, -1, 1, 4, 0, 4};

Array table_of(Index entries, Index width) {
  return tabulate({entries, width}, [](const At& at) { return std::sin(static_cast<double>(3 * at[0] + at[1])); });
}

std::vector<Index> touched(const Parameter<double>& p) {
  std::vector<Index> rows;
  p.gradient().for_each_run([&](Index offset, Index count) {
    CHECK(count == p.shape()[1]);
    rows.push_back(offset / count);
  });
  std::sort(rows.begin(), rows.end());
  return rows;
}

}  // namespace

TEST_CASE("lookup: rows of the table, zeros for padding, and gradients by differences") {
  // row("lookup") reads a parameter where other ops have operands.
  Parameter<double> table(table_of(6, 3));
  Tape<double> tape;
  const Var<double> y = lookup(tape, table, ids, {3, 2});
  CHECK(y.value() == tabulate({3, 2, 3}, [&](const At& at) {
          const std::int32_t id = ids[static_cast<std::size_t>(at[0] * 2 + at[1])];
          return id < 0 ? 0.0 : table.value()(id, at[2]);
        }));
  Parameter<float> in_float(as<float>(table.value()));
  Tape<float> other;
  CHECK(excess(value_of(lookup(other, in_float, ids, {6})), reshaped(value_of(y), {6, 3}), {.relative = 1}, u_float) ==
        0);
  const GradientReport report = check_gradients(
      [&](Tape<double>& t) {
        return weighted(square(lookup(t, table, ids, {3, 2})) + lookup(t, table, ids, {2, 3})[0][0]);
      },
      {&table});
  INFO(report.text());
  CHECK(report);
}

TEST_CASE("lookup: only the rows that were looked up are touched") {
  Parameter<double> table(table_of(6, 3));
  Tape<double> tape;
  tape.backward(sum(lookup(tape, table, ids, {6})));
  CHECK(touched(table) == std::vector<Index>{0, 1, 4});
  CHECK(table.grad() == Array{{1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}, {3, 3, 3}, {0, 0, 0}});
  tape.backward(sum(lookup(tape, table, std::vector<std::int32_t>{2, 4}, {2})));
  CHECK(touched(table) == std::vector<Index>{0, 1, 2, 4});
  CHECK(table.grad()(4, 0) == 4);
  CHECK(table.grad()(2, 2) == 1);
  table.clear_grad();
  CHECK(touched(table).empty());
  tape.backward(sum(lookup(tape, table, std::vector<std::int32_t>{5}, {1})));
  CHECK(touched(table) == std::vector<Index>{5});
  CHECK(table.grad()(4, 0) == 0);
  CHECK(table.grad()(5, 0) == 1);
}

TEST_CASE("lookup: a table that is also a matrix gathers both gradients") {
  Parameter<double> table(table_of(6, 3));
  const auto program = [&](Tape<double>& tape) {
    const Var<double> h = tanh(lookup(tape, table, ids, {6}));
    return weighted(matmul(h, table, {.b = true}) + sum(lookup(tape, table, ids, {6})));
  };
  const GradientReport report = check_gradients(program, {&table});
  INFO(report.text());
  CHECK(report);
}

TEST_CASE("lookup: padding alone, nothing at all, and a frozen table") {
  Parameter<double> table(table_of(6, 3));
  Tape<double> tape;
  tape.backward(sum(lookup(tape, table, std::vector<std::int32_t>{-1, -1}, {2})));
  CHECK(touched(table).empty());
  CHECK(lookup(tape, table, {}, {0, 2}).shape() == Shape{0, 2, 3});
  CHECK(lookup(tape, table, std::vector<std::int32_t>{3}, {}).shape() == Shape{3});
  table.freeze();
  Tape<double> fresh;
  CHECK_THROWS_AS(fresh.backward(sum(lookup(fresh, table, ids, {6}))), TapeError);
}

TEST_CASE("lookup: the gradient of another value leaves the table alone") {
  Parameter<double> table(table_of(6, 3));
  Tape<double> tape;
  const Var<double> x = tape.variable(2.0), y = sum(lookup(tape, table, ids, {6})) * x;
  CHECK(tape.gradient(y, Array(1.0), x)() == doctest::Approx(y.item() / 2));
  CHECK(table.gradient().empty());
}

TEST_CASE("lookup: an id outside the table is named") {
  Parameter<float> table(make_tensor<float>({4, 2}, 0.0F));
  Tape<float> tape;
  CHECK_THROWS_WITH_AS(lookup(tape, table, std::vector<std::int32_t>{1, 4}, {2}),
                       "lookup: id 4 is outside a table of 4 entries", IndexError);
  CHECK_THROWS_WITH_AS(lookup(tape, table, std::vector<std::int32_t>{-2}, {1}),
                       "lookup: id -2 is outside a table of 4 entries", IndexError);
  CHECK_THROWS_WITH_AS(lookup(tape, table, std::vector<std::int32_t>{1}, {2}), "lookup: 1 ids for the shape [2]",
                       ShapeError);
  Parameter<float> vector(make_tensor<float>({4}, 0.0F));
  CHECK_THROWS_WITH_AS(lookup(tape, vector, std::vector<std::int32_t>{1}, {1}),
                       "lookup: a table [entries, width] is needed, not [4]", ShapeError);
}
