#include <autograd/ops/reference.h>

using namespace unroll;
using namespace unroll::testing;

// Gradient memory is not zeroed where the first op that reaches it overwrites it. What must hold: whatever a tape
// computed before, and in whatever pieces a value is read, its gradient is that of a new tape in double.

namespace {

template <Real T>
Var<T> columns(const Var<T>& x, Index first, Index last) {
  return slice(x, -1, first, last);
}

template <class F>
Array differences(const Array& at, F f) {
  constexpr double step = 1e-5;
  Array d = at;
  for (std::size_t i = 0; i < at.size(); ++i) {
    const auto value = [&](double moved) {
      Array x = at;
      x.data()[i] += moved;
      Tape<double> tape = Tape<double>::inference();
      return Var<double>(f(tape.constant(x))).item();
    };
    d.data()[i] = (value(step) - value(-step)) / (2 * step);
  }
  return d;
}

/// The gradient of f(x) with respect to x [shape] by central differences, and on a tape that is used again and again,
/// whose memory of gradients is full of other numbers.
template <class F>
void check_first_touch(const std::string& what, const Shape& shape, F f) {
  INFO(what);
  const Array at = tabulate(shape, [&, i = 0.0](const At&) mutable { return std::sin(1 + 0.37 * ++i); });
  const Array want = differences(at, f);
  const auto check_used = [&]<Real T>(Tape<T>&& used, double tolerance) {
    for (int round = 0; round < 3; ++round) {
      const Var<T> dirt = used.variable(as<T>(Array(at * 3.0 + 2.0)));
      const Var<T> more = square(dirt) * T(5) + exp(dirt), most = more * sin(more);
      used.backward(sum(most * dirt));
      used.rewind();
      const Var<T> x = used.variable(as<T>(at));
      used.backward(f(x));
      CHECK(excess(x.grad(), want, {.absolute = tolerance}, 1) == 0);
      used.rewind();
    }
  };
  check_used(Tape<double>(), 1e-7);
  check_used(Tape<float>(), 5e-6);
}

}  // namespace

TEST_CASE("first touch: columns of a matrix, in any order and number") {
  const Shape shape{5, 40};
  check_first_touch("all columns, once each", shape, [](auto x) {
    auto [i, f, g, o] = split<4>(x);
    auto c = as_var(sigmoid(f) * g + sigmoid(i));
    return sum(sigmoid(o) * tanh(c));
  });
  check_first_touch("not all columns", shape,
                    [](auto x) { return sum(sin(columns(x, 10, 17))) + sum(exp(columns(x, 30, 40))); });
  check_first_touch("more pieces than are kept", shape, [](auto x) {
    auto total = as_var(sum(sin(columns(x, 0, 2))));
    for (Index c = 38; c >= 2; c -= 2) total = as_var(total + sum(square(columns(x, c, c + 2))));
    return total;
  });
  check_first_touch("pieces that overlap, one after the other", shape, [](auto x) {
    return sum(sin(columns(x, 3, 20))) + sum(square(columns(x, 10, 30))) + sum(exp(columns(x, 12, 14)));
  });
  check_first_touch("a piece, then all, then a piece", shape, [](auto x) {
    auto first = as_var(sum(sin(columns(x, 3, 20))));
    auto all = as_var(sum(x * sigmoid(x)));
    return first + all + sum(square(columns(x, 20, 40)));
  });
  check_first_touch("rows seen under another width", shape, [](auto x) {
    return sum(sin(columns(x, 0, 10))) + sum(square(columns(reshape(x, {10, 20}), 5, 15)));
  });
  check_first_touch("the same memory as other columns of another width", shape, [](auto x) {
    return sum(sin(columns(x, 20, 30))) + sum(square(columns(reshape(x, {10, 20}), 0, 10)));
  });
  check_first_touch("some rows only", shape, [](auto x) {
    return sum(sin(columns(slice(x, 0, 1, 3), 4, 24))) + sum(square(columns(x, 24, 40)));
  });
}

TEST_CASE("first touch: one formula that reads the same memory more than once") {
  const Shape shape{4, 24};
  check_first_touch("the same value", shape, [](auto x) { return sum(x * sin(x) + x); });
  check_first_touch("the same columns", shape, [](auto x) { return sum(columns(x, 0, 12) * sin(columns(x, 0, 12))); });
  check_first_touch("columns that overlap", shape,
                    [](auto x) { return sum(columns(x, 0, 12) * sin(columns(x, 7, 19))); });
  check_first_touch("columns that overlap, the later first", shape,
                    [](auto x) { return sum(columns(x, 7, 19) * sin(columns(x, 0, 12))); });
  check_first_touch("rows that overlap", shape, [](auto x) { return sum(slice(x, 0, 0, 3) * sin(slice(x, 0, 1, 4))); });
  check_first_touch("a row and all rows", shape, [](auto x) { return sum(x * sin(slice(x, 0, 0, 1))); });
  check_first_touch("a row, then all rows", shape, [](auto x) { return sum(sin(slice(x, 0, 0, 1)) * x); });
  check_first_touch("a column and all columns", shape, [](auto x) { return sum(x * sin(columns(x, 3, 4))); });
  check_first_touch("the same elements under another shape", shape, [](auto x) {
    return sum(columns(x, 0, 12) * sin(slice(reshape(x, {8, 12}), 0, 0, 4)));
  });
  check_first_touch("a condition", shape, [](auto x) {
    return sum(where(relu(columns(x, 0, 12)), columns(x, 12, 24), square(columns(x, 0, 12))));
  });
}

TEST_CASE("first touch: the steps of a sequence") {
  const Shape shape{3, 2, 40};
  check_first_touch("columns of single steps", shape, [](auto x) {
    return sum(sin(columns(x[1], 0, 20))) + sum(square(columns(x[1], 20, 40))) + sum(exp(columns(x[2], 8, 30)));
  });
  check_first_touch("columns of all steps, then of one", shape,
                    [](auto x) { return sum(sin(columns(x, 0, 20))) + sum(square(columns(x[2], 10, 40))); });
  check_first_touch("columns of one step, then of all", shape, [](auto x) {
    auto one = as_var(sum(square(columns(x[2], 20, 40))));
    return one + sum(sin(columns(x, 0, 20)));
  });
}

TEST_CASE("first touch: views whose rows lie across the steps of a sequence") {
  const Shape shape{4, 2, 3};
  check_first_touch("rows longer than those of a step", shape, [](auto x) {
    return sum(tanh(columns(reshape(x, {6, 4}), 0, 2)));
  });
  check_first_touch("rows longer than a step", shape, [](auto x) {
    return sum(tanh(columns(reshape(x, {2, 12}), 2, 8))) + sum(sin(x[1]));
  });
  check_first_touch("all of them as one row", shape,
                    [](auto x) { return sum(tanh(columns(reshape(x, {24}), 5, 19))) + sum(square(reshape(x, {24}))); });
  check_first_touch("steps that overlap in one formula", shape,
                    [](auto x) { return sum(slice(x, 0, 0, 2) * sin(slice(x, 0, 1, 3))); });
}

TEST_CASE("first touch: a parameter and rows of it in one formula") {
  Parameter<double> p(
      tabulate({4, 20}, [](const At& at) { return std::sin(static_cast<double>(20 * at[0] + at[1])); }));
  const GradientReport report = check_gradients(
      [&](Tape<double>& tape) {
        const Var<double> x = tape.use(p);
        return sum(x * sin(x[0])) + sum(slice(x, 0, 0, 3) * slice(x, 0, 1, 4));
      },
      {&p});
  INFO(report.text());
  CHECK(report);
}

TEST_CASE("first touch: what is both operands of one product, by parts") {
  // Rows are worked on some hundreds at a time, and each part adds to all rows of the weight.
  Tape<double> tape;
  const auto compare = [&](const Array& at, auto f) {
    const auto gradient_of = [&](bool apart) {
      tape.rewind();
      const Var<double> dirt = tape.variable(Array(at + 1.0));
      tape.backward(sum(exp(dirt)));
      tape.rewind();
      const Var<double> x = tape.variable(at), twin = apart ? tape.variable(at) : x;
      tape.backward(f(x, twin));
      return apart ? Array(x.grad() + twin.grad()) : Array(x.grad());
    };
    const Array together = gradient_of(false), apart = gradient_of(true);
    CHECK(excess(together, apart, {.absolute = 1e-11}, 1) == 0);
    CHECK(xt::amax(xt::abs(apart))() > 1e-3);
  };
  const auto waves = [](const Shape& shape) {
    return tabulate(shape, [](const At& at) { return std::sin(static_cast<double>(7 * at[0] + at[1])) / 8; });
  };
  compare(waves({400, 400}), [&](Var<double> x, Var<double> w) {
    return sum(sin(affine(x, w, tape.constant(Array(xt::zeros<double>({400}))))));
  });
  std::vector<std::int32_t> own(600);
  std::iota(own.begin(), own.end(), 0);
  compare(waves({600, 8}), [&](Var<double> x, Var<double> w) {
    return Var<double>(linear_cross_entropy(x, w, tape.zeros({600}), own, {}, Transposed{.b = true}) * 600.0);
  });
}

TEST_CASE("first touch: a tape that was rewound knows of no gradient") {
  Tape<double> tape;
  Parameter<double> table(tabulate({5, 3}, [](const At& at) { return static_cast<double>(at[0] + at[1]); }));
  const std::vector<std::int32_t> ids(40, 2);
  const Var<double> wide = tape.variable(Array(xt::zeros<double>({4, 64})));
  const Var<double> column =
      tape.variable(tabulate({3, 1}, [](const At& at) { return static_cast<double>(1 + at[0]); }));
  tape.backward(sum(sin(columns(wide, 3, 9))) + sum(matmul(lookup(tape, table, ids, {40}), column)));
  tape.rewind();
  const Var<double> x = tape.variable(Array{{1, 2}, {3, 4}});
  CHECK(x.grad() == Array{{0, 0}, {0, 0}});
}

TEST_CASE("first touch: products over columns that formulas have reached, and before them") {
  const Shape shape{6, 32};
  const auto product = [](auto x, Index first, Index last) {
    auto& tape = x.tape();
    using T = typename decltype(x)::scalar;
    const auto w = tape.variable(as<T>(
        tabulate({last - first, 5}, [](const At& at) { return std::cos(static_cast<double>(at[0] + 3 * at[1])); })));
    return sum(sin(matmul(columns(x, first, last), w)));
  };
  check_first_touch("a product of all columns first", shape, [&](auto x) {
    auto [a, b] = split<2>(x);
    return product(x, 0, 32) + sum(a * sin(b));
  });
  check_first_touch("a product of some columns last", shape, [&](auto x) {
    auto [a, b] = split<2>(x);
    auto formula = as_var(sum(exp(b)));
    return formula + product(x, 0, 16) + product(x, 8, 20) + sum(square(a));
  });
}
