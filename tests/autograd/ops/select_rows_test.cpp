#include <autograd/ops/reference.h>
#include <unroll/autograd/ops/select_rows.h>

using namespace unroll;
using namespace unroll::testing;

// Products of rows that recur are computed once for each distinct row. What they must equal are the products of a
// view of the same rows, of which nobody knows that they recur.

namespace {

template <Real T>
Tensor<T> waves(const Shape& shape, double phase) {
  return as<T>(tabulate(
      shape, [&](const At& at) { return std::sin(phase + 0.7 * static_cast<double>(at[0] * shape[1] + at[1])); }));
}

/// `count` ids below `symbols`, irregular, every seventh of them padding.
std::vector<std::int32_t> text(Index count, Index symbols) {
  Rng rng(5);
  std::vector<std::int32_t> ids;
  for (Index i = 0; i < count; ++i) ids.push_back(i % 7 == 3 ? -1 : static_cast<std::int32_t>(rng.below(symbols)));
  return ids;
}

struct Case {
  Index rows, symbols, depth, cols;
  bool transposed;
};

template <Real T>
struct Outcome {
  Tensor<T> y, table, weight, bias;
};

/// Value and gradients of rows(x) times a weight, where x is what lookup returned or, `hidden`, a view of it. Nothing
/// in them is negative, so that no sum cancels.
template <Real T>
Outcome<T> outcome(const Case& c, bool with_bias, bool hidden) {
  const auto positive = [](const Shape& shape, double phase) { return Tensor<T>(waves<T>(shape, phase) + T(2)); };
  Parameter<T> table(positive({c.symbols, c.depth}, 0.1));
  Parameter<T> weight(positive(c.transposed ? Shape{c.cols, c.depth} : Shape{c.depth, c.cols}, 0.5));
  Parameter<T> bias(as<T>(tabulate({c.cols}, [](const At& at) { return static_cast<double>(at[0] % 5); })));
  Tape<T> tape;
  const std::vector<std::int32_t> ids = text(c.rows, c.symbols);
  Var<T> x = lookup(tape, table, ids, {c.rows});
  if (hidden) x = reshape(x, {1, c.rows, c.depth});
  CHECK((detail::DistinctRows<T>::of(x) != nullptr) != hidden);
  const Var<T> y =
      reshape(with_bias ? affine(x, weight, bias) : matmul(x, weight, {.b = c.transposed}), {c.rows, c.cols});
  tape.backward(sum(square(y)));
  return {y.value(), table.grad(), weight.grad(), bias.grad()};
}

template <Real T>
double largest(const Tensor<T>& a) {
  double most = 0;
  for (const T v : a) most = std::max(most, std::abs(static_cast<double>(v)));
  return most;
}

template <Real T>
void check_close(const Tensor<T>& got, const Tensor<T>& want, double units) {
  CHECK(shape_of(got) == shape_of(want));
  const double within = units * std::numeric_limits<T>::epsilon() * std::max(1.0, largest(want));
  CHECK(largest(Tensor<T>(got - want)) <= within);
}

template <Real T>
void check_outcome(const Case& c, bool with_bias) {
  INFO(c.rows, " rows of ", c.symbols, " symbols, ", c.depth, " x ", c.cols, c.transposed ? " transposed" : "",
       with_bias ? " with bias" : "");
  const Outcome<T> got = outcome<T>(c, with_bias, false), want = outcome<T>(c, with_bias, true);
  CHECK(got.y == want.y);  // bit for bit
  // Two sums of the same terms, none of them negative, in other orders: each is rounded by half a unit for each row and
  // each column that is added, and for the product.
  const auto units = static_cast<double>(c.rows + c.cols + 1);
  check_close(got.table, want.table, units);
  check_close(got.weight, want.weight, units);
  check_close(got.bias, want.bias, units);
  CHECK(largest(got.weight) > 0);
  CHECK(largest(got.table) > 0);
}

}  // namespace

TEST_CASE_TEMPLATE("distinct rows: products are those of each row by itself", T, float, double) {
  for (const bool with_bias : {false, true}) {
    check_outcome<T>({100, 7, 5, 9, false}, with_bias);
    check_outcome<T>({64, 1, 16, 32, false}, with_bias);
    check_outcome<T>({1200, 300, 3, 17, false}, with_bias);  // more distinct rows than are multiplied at a time
    check_outcome<T>({2000, 900, 20, 48, false}, with_bias);
  }
  check_outcome<T>({100, 7, 5, 9, true}, false);
  check_outcome<T>({1200, 300, 3, 17, true}, false);
}

TEST_CASE("distinct rows: gradients by differences, where the rows are used in other ways too") {
  Parameter<double> table(waves<double>({6, 4}, 0.3)), weight(waves<double>({4, 4}, 0.9)),
      other(waves<double>({4, 3}, 2));
  const std::vector<std::int32_t> ids = text(40, 6);
  const GradientReport report = check_gradients(
      [&](Tape<double>& tape) {
        const Var<double> x = lookup(tape, table, ids, {20, 2});
        const Var<double> h = tanh(matmul(x, weight)) + x;
        return weighted(matmul(h, other)) + weighted(matmul(x, other)) + weighted(matmul(tape.use(table), weight));
      },
      {&table, &weight, &other});
  INFO(report.text());
  CHECK(report);
}

TEST_CASE("distinct rows: a selection of looked-up rows, and of any value") {
  Parameter<double> table(waves<double>({6, 3}, 0.3)), weight(waves<double>({3, 4}, 0.9));
  std::vector<std::int32_t> ids(30);
  for (std::size_t i = 0; i < 30; ++i) ids[i] = i % 6 == 5 ? -1 : static_cast<std::int32_t>(i * i % 5 + i % 2);
  std::vector<Index> rows;
  for (Index i = 0; i < 50; ++i) rows.push_back(i % 11 == 4 ? -1 : (7 * i) % 30);
  std::vector<Index> of_table;
  for (Index i = 0; i < 64; ++i) of_table.push_back(i % 5);
  Index distinct = 0;
  const GradientReport report = check_gradients(
      [&](Tape<double>& tape) {
        const Var<double> looked_up = gather_rows(lookup(tape, table, ids, {30}), rows, {50, 3});
        distinct = detail::DistinctRows<double>::of(looked_up)->count();
        const Var<double> computed = gather_rows(tanh(tape.use(table)), of_table, {64, 3});
        CHECK_FALSE(detail::DistinctRows<double>::of(computed) == nullptr);
        return weighted(matmul(looked_up, weight)) + weighted(matmul(computed, weight));
      },
      {&table, &weight});
  CHECK(distinct == 6);  // 5 symbols and padding
  INFO(report.text());
  CHECK(report);
}

TEST_CASE("distinct rows: the gradient of the rows themselves is that of each row") {
  Parameter<double> table(waves<double>({5, 3}, 0.3)), weight(waves<double>({3, 4}, 0.9)),
      bias(waves<double>({1, 4}, 2));
  const std::vector<std::int32_t> ids = text(40, 5);
  std::vector<Index> turned;
  for (Index i = 0; i < 40; ++i) turned.push_back(i == 11 ? -1 : 39 - i);
  struct Seen {
    Array whole, asked, step;
  };
  const auto gradients_of_rows = [&](bool hidden, bool selected, bool used_otherwise) {
    Tape<double> tape;
    const Var<double> x = lookup(tape, table, ids, {20, 2});
    const Var<double> seen = selected ? gather_rows(x, turned, {40, 3}) : x;
    const Var<double> shown = hidden ? reshape(seen, {2, 20, 3}) : seen;
    Var<double> y = sum(sin(matmul(shown, weight))) + sum(cos(affine(shown, weight, reshape(tape.use(bias), {4}))));
    if (used_otherwise) y = y + weighted(square(x));
    tape.backward(y);
    const Array step = x[3].grad(), whole = x.grad();
    CHECK(x.grad() == whole);  // added once
    return Seen{whole, tape.gradient(y, Array(1.0), x), step};
  };
  for (const bool selected : {false, true})
    for (const bool used_otherwise : {false, true}) {
      const Seen want = gradients_of_rows(true, selected, used_otherwise);
      const Seen got = gradients_of_rows(false, selected, used_otherwise);
      CHECK(largest(want.whole) > 0);
      check_close(got.whole, want.whole, 8);
      check_close(got.asked, want.whole, 8);
      check_close(got.step, want.step, 8);
    }
}

TEST_CASE("distinct rows: their gradient cannot be computed when the weight was edited") {
  Parameter<double> table(waves<double>({5, 3}, 0.3)), weight(waves<double>({3, 4}, 0.9));
  Parameter<double> edited(waves<double>({3, 4}, 0.1));
  edited.set_path("input/weight");
  Tape<double> tape;
  const Var<double> x = lookup(tape, table, text(40, 5), {40}), z = lookup(tape, table, text(40, 5), {40});
  tape.backward(sum(matmul(x, weight)) + sum(matmul(z, edited)));
  edited.edit() += 1.0;
  CHECK(largest(Array(x.grad())) > 0);
  CHECK_THROWS_WITH_AS(
      z.grad(), "grad: parameter input/weight was edited since backward; read the gradient of this lookup before",
      TapeError);
}

TEST_CASE("distinct rows: the gradient of a value between the rows and their source, and of many in a chain") {
  Parameter<double> table(waves<double>({5, 3}, 0.3)), weight(waves<double>({4, 3}, 0.9));
  std::vector<Index> turned;
  for (Index i = 0; i < 40; ++i) turned.push_back((i * 7 + 3) % 40);
  const auto gradients = [&](bool hidden) {
    Tape<double> tape;
    std::vector<Var<double>> chain{lookup(tape, table, text(40, 5), {40})};
    for (int i = 0; i < 70; ++i) chain.push_back(gather_rows(chain.back(), turned, {40, 3}));
    const Var<double> x = hidden ? reshape(chain.back(), {1, 40, 3}) : chain.back();
    tape.backward(sum(sin(matmul(x, weight, {.b = true}))));
    std::vector<Array> all;
    for (const Var<double>& v : chain) all.push_back(v.grad());
    return all;
  };
  const auto got = gradients(false), want = gradients(true);
  for (std::size_t i = 0; i < want.size(); ++i) check_close(got[i], want[i], 8);
  CHECK(largest(want[0]) > 0);
}

TEST_CASE("distinct rows: what was looked up before a table was edited stays what it was") {
  Parameter<float> table(waves<float>({5, 3}, 0.3)), weight(waves<float>({3, 4}, 0.9));
  Tape<float> tape = Tape<float>::inference();
  const Var<float> x = lookup(tape, table, text(40, 5), {40});
  const Tensor<float> before = matmul(x, weight).value();
  table.edit() *= 2.0F;
  CHECK(matmul(x, weight).value() == before);
}

TEST_CASE("distinct rows: a table that is its own weight, and a weight that is computed") {
  Parameter<double> table(waves<double>({6, 4}, 0.3));
  const std::vector<std::int32_t> ids = text(40, 6);
  const GradientReport report = check_gradients(
      [&](Tape<double>& tape) {
        const Var<double> tied = matmul(lookup(tape, table, ids, {40}), table, {.b = true});
        const Var<double> computed = matmul(lookup(tape, table, ids, {40}), transpose(tanh(tape.use(table))));
        return weighted(sin(tied)) + weighted(computed);
      },
      {&table});
  INFO(report.text());
  CHECK(report);
}

TEST_CASE("distinct rows: only the rows of a table that were looked up are touched, and a frozen one is not") {
  Parameter<double> table(waves<double>({50, 3}, 0.3)), weight(waves<double>({3, 4}, 0.9));
  const std::vector<std::int32_t> ids = text(70, 4);
  Tape<double> tape;
  tape.backward(sum(matmul(lookup(tape, table, ids, {70}), weight)));
  Index touched = 0;
  table.gradient().for_each_run([&](Index, Index count) { touched += count / 3; });
  CHECK(touched == 4);
  const Array to_weight = weight.grad();
  table.clear_grad();
  weight.clear_grad();
  table.freeze();
  tape.rewind();
  tape.backward(sum(matmul(lookup(tape, table, ids, {70}), weight)));
  CHECK(table.gradient().empty());
  CHECK(weight.grad() == to_weight);
  table.freeze(false);
  weight.clear_grad();
  weight.freeze();
  tape.rewind();
  tape.backward(sum(matmul(lookup(tape, table, ids, {70}), weight)));
  CHECK(weight.gradient().empty());
  CHECK(!table.gradient().empty());
}

TEST_CASE("distinct rows: nothing is shared where little recurs") {
  Parameter<float> table(waves<float>({3000, 2}, 0.3)), large(waves<float>({5000, 2}, 0.3));
  Tape<float> tape = Tape<float>::inference();
  const auto shared_of = [&](const Parameter<float>& of, const std::vector<std::int32_t>& ids) {
    return detail::DistinctRows<float>::of(lookup(tape, of, ids, {static_cast<Index>(ids.size())})) != nullptr;
  };
  const auto shared = [&](const std::vector<std::int32_t>& ids) { return shared_of(table, ids); };
  std::vector<std::int32_t> ids(64);
  std::iota(ids.begin(), ids.end(), 0);
  CHECK(!shared(ids));
  for (std::size_t i = 0; i < 64; ++i) ids[i] = static_cast<std::int32_t>(i / 2);
  CHECK(shared(ids));
  CHECK(!shared_of(large, ids));  // to look through the table would cost more
  ids.resize(20);
  CHECK(!shared(ids));
  CHECK(detail::DistinctRows<float>::of(tape.use(table)) == nullptr);
}
