#include <autograd/ops/reference.h>

using namespace unroll;
using namespace unroll::testing;

namespace {

// A sum of n products of numbers up to 2 errs by at most n units of n times 4; its gradients are such sums too,
// with weights up to 1.
Rounding sum_of(double n) { return {.absolute = 4 * n * (n + 1)}; }

Row product_row(const char* name, std::string variant, std::vector<Shape> shapes, auto f, auto reference) {
  double longest = 1;
  for (const Shape& s : shapes) longest = std::max(longest, static_cast<double>(std::max(s.rows(), s.cols())));
  return row(name, std::move(variant), std::move(shapes), f, reference,
             {.forward = sum_of(longest), .backward = sum_of(longest)});
}

std::vector<Row> linalg_rows() {
  std::vector<Row> rows;
  for (const bool ta : {false, true})
    for (const bool tb : {false, true})
      for (const std::array<Index, 3>& mkn : {std::array<Index, 3>{3, 4, 5}, {1, 3, 2}, {4, 1, 1}, {3, 3, 3}}) {
        const auto [m, k, n] = mkn;
        rows.push_back(product_row(
            "matmul", fmt::format("transposed {} {}, {} {} {}", ta, tb, m, k, n),
            {ta ? Shape{k, m} : Shape{m, k}, tb ? Shape{n, k} : Shape{k, n}},
            [ta, tb](auto v) {
              return matmul(v[0], v[1], {ta, tb});
            },
            [ta, tb](const Arrays& x) { return product(ta ? transposed(x[0]) : x[0], tb ? transposed(x[1]) : x[1]); }));
      }
  for (const bool tb : {false, true}) {
    const auto f = [tb](auto v) { return matmul(v[0], v[1], {.b = tb}); };
    const Shape w = tb ? Shape{5, 4} : Shape{4, 5};
    const auto rows_times = [tb](const Shape& out) {
      return [tb, out](const Arrays& x) {
        return reshaped(product(reshaped(x[0], {shape_of(x[0]).rows(), 4}), tb ? transposed(x[1]) : x[1]), out);
      };
    };
    rows.push_back(product_row("matmul", "a vector", {{4}, w}, f, rows_times({5})));
    rows.push_back(product_row("matmul", "a sequence", {{3, 2, 4}, w}, f, rows_times({3, 2, 5})));
  }
  const auto sum_of_three = [](std::array<int, 3> order) {
    return [order](const Arrays& x) {  // x[0] + x[1] x[2] in the order given
      const Array &a = x[static_cast<std::size_t>(order[0])], &h = x[static_cast<std::size_t>(order[1])],
                  &w = x[static_cast<std::size_t>(order[2])];
      const Array y = product(reshaped(h, {shape_of(h).rows(), shape_of(h).cols()}), w);
      Array wide = xt::broadcast(reshaped(a, {shape_of(a).rows(), shape_of(a).cols()}), y.shape());
      return reshaped(Array(wide + y), shape_of(h).with(-1, shape_of(w)[1]));
    };
  };
  const auto to_affine = [](auto v) { return affine(v[0], v[1], v[2]); };
  const auto to_addmm = [](auto v) { return addmm(v[0], v[1], v[2]); };
  for (const Shape& x : {Shape{4}, Shape{3, 4}, Shape{2, 3, 4}}) {
    rows.push_back(product_row("affine", x.text(), {x, {4, 5}, {5}}, to_affine, sum_of_three({2, 0, 1})));
    rows.push_back(product_row("addmm", x.text(), {x.with(-1, 5), x, {4, 5}}, to_addmm, sum_of_three({0, 1, 2})));
  }
  rows.push_back(product_row("addmm", "square", {{4, 4}, {4, 4}, {4, 4}}, to_addmm, sum_of_three({0, 1, 2})));
  for (const bool ta : {false, true})
    for (const bool tb : {false, true})
      rows.push_back(product_row(
          "batched_matmul", fmt::format("transposed {} {}", ta, tb),
          {ta ? Shape{3, 4, 2} : Shape{3, 2, 4}, tb ? Shape{3, 5, 4} : Shape{3, 4, 5}},
          [ta, tb](auto v) {
            return batched_matmul(v[0], v[1], {ta, tb});
          },
          [ta, tb](const Arrays& x) {
            return tabulate({3, 2, 5}, [&](const At& at) {
              const Array a = matrix(x[0], at[0]), b = matrix(x[1], at[0]);
              return element_at(product(ta ? transposed(a) : a, tb ? transposed(b) : b), {at[1], at[2]});
            });
          }));
  const auto to_outer = [](auto v) { return outer(v[0], v[1]); };
  rows.push_back(product_row("outer", "of vectors", {{4}, {3}}, to_outer, [](const Arrays& x) {
    return tabulate({4, 3}, [&](const At& at) { return x[0].data()[at[0]] * x[1].data()[at[1]]; });
  }));
  rows.push_back(product_row("outer", "of one vector's length", {{3}, {3}}, to_outer, [](const Arrays& x) {
    return tabulate({3, 3}, [&](const At& at) { return x[0].data()[at[0]] * x[1].data()[at[1]]; });
  }));
  rows.push_back(product_row("outer", "of batches", {{2, 4}, {2, 3}}, to_outer, [](const Arrays& x) {
    return tabulate({2, 4, 3}, [&](const At& at) {
      return element_at(x[0], {at[0], at[1]}) * element_at(x[1], {at[0], at[2]});
    });
  }));
  return rows;
}

Array normal(const Shape& shape, std::uint64_t seed) {
  Array x = make_tensor<double>(shape);
  Rng rng(seed);
  for (double& v : x) v = 0.5 * rng.normal();
  return x;
}

}  // namespace

TEST_CASE("linalg: every row") {
  for (const Row& r : linalg_rows()) check_row(r);
}

TEST_CASE("linalg: a matrix used at every step gathers the gradient of all steps") {
  // In order, out of order, as columns of a wider array, with other uses in between, and in both transpositions.
  const auto steps = [](Vars<double> v, auto step) {
    const Var<double> xs = v[0], w = v[1];
    Var<double> h = slice(xs[0], -1, 0, 4);
    for (Index t = 0; t < 5; ++t) h = step(h, xs[t], w, t);
    return h;
  };
  const Arrays x{normal({5, 3, 6}, 1), normal({4, 4}, 2)};
  const std::vector<bool> none{false, false};
  expect_gradients(x, none, [&](Vars<double> v) {
    return steps(v, [](auto h, auto, auto w, Index) { return Var<double>(tanh(matmul(h, w))); });
  });
  expect_gradients(x, none, [&](Vars<double> v) {
    return steps(v, [](auto h, auto x, auto w, Index) { return Var<double>(tanh(matmul(slice(x, -1, 1, 5), w) + h)); });
  });
  expect_gradients(x, none, [&](Vars<double> v) {
    return steps(v, [](auto h, auto x, auto w, Index t) {
      return Var<double>(tanh(matmul(h, w, {.b = t % 2 == 1}) + matmul(slice(x, -1, 2, 6), w)));
    });
  });
  expect_gradients(x, none, [&](Vars<double> v) {
    return steps(v, [](auto h, auto x, auto w, Index t) {
      return Var<double>(tanh(addmm(slice(x, -1, 0, 4), h, w)) * static_cast<double>(t + 1));
    });
  });
}

TEST_CASE("linalg: a matrix whose operands lie evenly at first and then anywhere") {
  const Arrays x{normal({3, 2, 8}, 1), normal({8, 8}, 2), normal({2, 8}, 3), normal({2, 8}, 4), normal({2, 8}, 5)};
  expect_gradients(x, std::vector<bool>(x.size(), false), [](Vars<double> v) {
    std::vector<Var<double>> products;
    for (const Var<double>& row : {v[0][0], v[0][1], v[0][2], v[4], v[2], v[3]}) products.push_back(matmul(row, v[1]));
    return stack(std::span<const Var<double>>(products));
  });
}

TEST_CASE("linalg: a value known to be 0 is not multiplied, and gives what one that happens to be 0 gives") {
  Parameter<double> weight(Tensor<double>{{1.0, 2.0}, {3.0, 4.0}, {5.0, 6.0}});
  const std::vector<Index> back{1, 0};
  const auto run = [&](bool known, int which) {
    weight.clear_grad();
    Tape<double> tape;
    const Var<double> x = tape.variable(Tensor<double>{{0.5, -0.5}, {1.5, 2.5}}), w = tape.use(weight);
    const Var<double> zeros =
        known ? tape.zeros({3, 2, 3}) : tape.constant(Shape{3, 2, 3}, std::vector<double>(18, 0.0));
    const Var<double> h = gather_rows(zeros[1], back, Shape{2, 3});
    CHECK(tape.is_zero(h.index()) == known);
    CHECK_FALSE(tape.is_zero(x.index()));
    const Var<double> y = which == 0 ? addmm(x, h, w)
                          : which == 1
                              ? Var<double>(x + matmul(h, w))
                              : addmm(addmm(x, h, w), tape.constant(Tensor<double>{{1., 2., 3.}, {4., 5., 6.}}), w);
    tape.backward(y, Tensor<double>{{1.0, 2.0}, {3.0, 4.0}});
    return std::tuple(Tensor<double>(y.value()), Tensor<double>(x.grad()), weight.grad());
  };
  for (const int which : {0, 1, 2}) CHECK(run(true, which) == run(false, which));
  CHECK(std::get<2>(run(true, 0)) == make_tensor<double>({3, 2}, 0.0));

  Tape<double> tape;
  const Var<double> infinite = tape.constant(Shape{2, 1}, std::vector<double>(2, INFINITY));
  CHECK(matmul(tape.zeros({1, 2}), infinite).item() == 0);
  CHECK(std::isnan(matmul(tape.constant(Shape{1, 2}, std::vector<double>(2, 0.0)), infinite).item()));
}

TEST_CASE("linalg: computed, sliced and reshaped matrices, squares and tied weights") {
  const Arrays one{normal({4, 4}, 3)};
  expect_gradients(one, {false}, [](Vars<double> v) { return matmul(v[0], v[0]); });
  expect_gradients(one, {false}, [](Vars<double> v) { return matmul(v[0], v[0], {true, false}); });
  expect_gradients(one, {false}, [](Vars<double> v) { return matmul(v[0], v[0], {false, true}); });
  expect_gradients(one, {false}, [](Vars<double> v) { return matmul(v[0], v[0], {true, true}); });
  expect_gradients(one, {false}, [](Vars<double> v) {
    const Var<double> masked = v[0] * v[0];  // no leaf
    return matmul(matmul(v[0], masked), masked);
  });
  expect_gradients(one, {false},
                   [](Vars<double> v) { return matmul(matmul(v[0], slice(v[0], -1, 1, 4)), slice(v[0], 0, 0, 3)); });
  expect_gradients(one, {false}, [](Vars<double> v) {
    return matmul(reshape(v[0], {8, 2}), reshape(slice(v[0], 0, 1, 3), {2, 4}));
  });
  expect_gradients(one, {false}, [](Vars<double> v) { return addmm(v[0], v[0], v[0]); });
  expect_gradients({normal({4, 4}, 4), normal({4}, 5)}, {false, false}, [](Vars<double> v) {
    const Var<double> h = affine(v[0], v[0], v[1]);
    return affine(h, matmul(h, v[0]), v[0][2]);
  });
  expect_gradients({normal({5, 4}, 6)}, {false}, [](Vars<double> v) {  // what goes in is what comes out
    const Var<double> h = tanh(matmul(v[0], slice(v[0], 0, 0, 4)));
    return matmul(h, v[0], {.b = true});
  });
}

TEST_CASE("linalg: sizes beyond a tile, float against double") {
  for (const std::array<Index, 3>& mkn : {std::array<Index, 3>{70, 96, 130}, {9, 300, 33}, {64, 64, 256}}) {
    const auto [m, k, n] = mkn;
    const Row r = row(
        "matmul", fmt::format("{} {} {}", m, k, n), {{m, k}, {k, n}}, [](auto v) { return matmul(v[0], v[1]); },
        [](const Arrays& x) { return product(x[0], x[1]); },
        {.forward = sum_of(static_cast<double>(k)), .backward = sum_of(static_cast<double>(std::max(m, n)))});
    check_value(r);
    check_float(r);
  }
}
