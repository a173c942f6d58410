#pragma once

#include <autograd/ops/op_rows.h>

// What must hold of any op: its value, its gradients, and that neither depends on where the operands lie, how often
// they are used, or who else wants a gradient.

namespace unroll::testing {

/// Gradients of a scalar made of parameters by `program`, against central differences.
inline void expect_gradients(const Arrays& x, const std::vector<bool>& constant, const Program<double>& program) {
  std::vector<Parameter<double>> parameters(x.begin(), x.end());
  std::vector<Parameter<double>*> listed;
  for (std::size_t k = 0; k < x.size(); ++k)
    if (!constant[k]) listed.push_back(&parameters[k]);
  const GradientReport report = check_gradients(
      [&](Tape<double>& tape) {
        std::vector<Var<double>> vars;
        for (std::size_t k = 0; k < x.size(); ++k)
          vars.push_back(constant[k] ? tape.constant(x[k]) : tape.use(parameters[k]));
        return weighted(program(vars));
      },
      listed, {.may_be_unused = true});
  INFO(report.text());
  CHECK(report);
}

inline std::vector<bool> constants_of(const Row& row) {
  std::vector<bool> constant;
  for (std::size_t k = 0; k < row.shapes.size(); ++k) constant.push_back(row.domain(k).mask);
  return constant;
}

inline void check_value(const Row& row) {
  const Arrays x = draw(row);
  Tape<double> tape;
  const Array y = value_of(row.in_double(enter(tape, row, x)));
  const double factor = 2 * row.options.double_factor;  // the reference rounds too
  const Rounding both{factor * row.options.forward.relative, factor * row.options.forward.absolute};
  CHECK(excess(y, row.reference(x), both, u_double) == 0);
  Tape<double> inference = Tape<double>::inference();
  CHECK(excess(value_of(row.in_double(enter(inference, row, x))), y, {}, 0) == 0);
}

inline void check_gradient(const Row& row) { expect_gradients(draw(row), constants_of(row), row.in_double); }

/// Every entry of the Jacobian: products with unit seeds against fourth-order differences of the whole result.
inline void check_jacobian(const Row& row) {
  Arrays x = draw(row);
  Tape<double> tape;
  const auto vars = enter(tape, row, x);
  const Var<double> y = row.in_double(vars);
  if (tape.node(y.index()).grad == nullptr) return;
  const std::size_t outputs = y.value().size();
  for (std::size_t k = 0; k < x.size(); ++k) {
    if (row.domain(k).mask) continue;
    std::vector<Array> products;
    for (std::size_t o = 0; o < outputs; ++o) {
      Array seed = make_tensor<double>(y.shape(), 0.0);
      seed.data()[o] = 1;
      products.push_back(tape.gradient(y, seed, vars[k]));
    }
    double worst = 0, scale = 1;
    for (std::size_t i = 0; i < x[k].size(); ++i) {
      const double x0 = x[k].data()[i], h = 2e-4 * std::max(1.0, std::abs(x0));
      const auto at = [&](double s) {
        x[k].data()[i] = x0 + s;
        Tape<double> fresh;
        return value_of(row.in_double(enter(fresh, row, x)));
      };
      const Array slope = (8.0 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
      x[k].data()[i] = x0;
      for (std::size_t o = 0; o < outputs; ++o) {
        scale = std::max(scale, std::abs(slope.data()[o]));
        worst = std::max(worst, std::abs(slope.data()[o] - products[o].data()[i]));
      }
    }
    CAPTURE(k);
    CHECK(worst / scale < 1e-7);
  }
}

/// The operands read again after the op, the op written twice, and one value as all operands of a shape.
inline void check_twice(const Row& row) {
  const Arrays x = draw(row);
  expect_gradients(x, constants_of(row), [&](Vars<double> v) {
    const Var<double> y = row.in_double(v), again = row.in_double(v);
    Var<double> total = weighted(y) + weighted(again * y) + sum(square(again));
    for (const Var<double>& operand : v) total = total + weighted(operand * operand);
    return total;
  });
  bool one_shape = row.shapes.size() > 1 && !row.domain(0).mask;
  for (const Shape& s : row.shapes) one_shape = one_shape && s == row.shapes[0];
  if (!one_shape || row.name == "maximum" || row.name == "minimum" || row.name == "less") return;
  expect_gradients({x.back()}, {false},
                   [&](Vars<double> v) { return row.in_double(std::vector<Var<double>>(row.shapes.size(), v[0])); });
}

/// Operands that are columns of a wider array, and one step of a longer one.
inline void check_strided(const Row& row) {
  const Arrays x = draw(row);
  Tape<double> plain;
  const Array want = value_of(row.in_double(enter(plain, row, x)));
  const auto expect_same = [&](const Arrays& around, const auto& look) {
    const Program<double> program = [&](Vars<double> v) {
      std::vector<Var<double>> parts;
      for (std::size_t k = 0; k < v.size(); ++k) parts.push_back(look(v[k], row.shapes[k]));
      return row.in_double(parts);
    };
    Tape<double> tape;
    std::vector<Var<double>> vars;
    for (const Array& a : around) vars.push_back(tape.constant(a));
    CHECK(excess(value_of(program(vars)), want, row.options.forward, u_double) == 0);
    expect_gradients(around, constants_of(row), program);
  };
  Arrays wide, longer;
  for (std::size_t k = 0; k < x.size(); ++k) {
    const Shape& s = row.shapes[k];
    Array w = make_tensor<double>(s.rank() == 0 ? Shape{6} : s.with(-1, s.cols() + 5), 0.75);
    for (Index r = 0; r < s.rows(); ++r)
      std::copy_n(x[k].data() + r * s.cols(), s.cols(), w.data() + r * (s.cols() + 5) + 2);
    wide.push_back(std::move(w));
    Array l = make_tensor<double>(s.inserted(0, 3), 0.75);
    std::copy(x[k].begin(), x[k].end(), l.data() + s.size());
    longer.push_back(std::move(l));
  }
  expect_same(wide, [](Var<double> v, const Shape& s) { return s.rank() == 0 ? v[2] : slice(v, -1, 2, 2 + s.cols()); });
  expect_same(longer, [](Var<double> v, const Shape&) { return v[1]; });
}

/// Values and gradients of the float program against the double one.
inline void check_float(const Row& row) {
  const Arrays x = draw(row);
  const auto run = [&]<Real T>(T) {
    Tape<T> tape;
    const auto vars = enter(tape, row, x);
    const Var<T> y = row.program<T>()(vars);
    Arrays result{value_of(y)};
    if (tape.node(y.index()).grad != nullptr) {
      tape.backward(y, as<T>(weights_for(y.shape())));
      for (std::size_t k = 0; k < vars.size(); ++k)
        if (!row.domain(k).mask) result.push_back(value_of(tape.constant(vars[k].grad())));
    }
    return result;
  };
  const Arrays got = run(1.0F), want = run(1.0);
  CHECK(excess(got[0], want[0], row.options.forward, u_float) == 0);
  for (std::size_t k = 1; k < want.size(); ++k) {
    CAPTURE(k);
    CHECK(excess(got[k], want[k], row.options.backward, u_float) == 0);
  }
}

/// The gradient of one operand is the same when nobody wants the others', it may be that nobody wants any, and backward
/// twice adds up.
inline void check_contracts(const Row& row) {
  const Arrays x = draw(row);
  Tape<double> tape;
  std::vector<Parameter<double>> parameters(x.begin(), x.end());
  std::vector<Var<double>> leaves;
  for (const auto& p : parameters) leaves.push_back(tape.use(p));
  const Var<double> y = row.in_double(leaves), loss = weighted(y);
  if (tape.node(loss.index()).grad == nullptr) return;
  const Var<double> other = tape.variable(3), scaled = loss * other;
  CHECK(tape.gradient(scaled, Array(1.0), other)() == loss.item());  // that of the parameters is not asked for
  tape.backward(loss);
  Arrays once;
  for (const auto& p : parameters) once.push_back(p.grad());
  tape.backward(loss);
  for (std::size_t k = 0; k < x.size(); ++k) {
    CAPTURE(k);
    CHECK(excess(parameters[k].grad(), Array(2.0 * once[k]), {64, 64}, u_double) == 0);
    CHECK(excess(tape.gradient(y, weights_for(y.shape()), leaves[k]), once[k], {64, 64}, u_double) == 0);
    Tape<double> other;
    std::vector<Var<double>> vars;
    for (std::size_t j = 0; j < x.size(); ++j) vars.push_back(j == k ? other.variable(x[j]) : other.constant(x[j]));
    const Var<double> alone = row.in_double(vars);
    if (other.node(alone.index()).grad == nullptr) continue;
    CHECK(excess(other.gradient(alone, weights_for(y.shape()), vars[k]), once[k], {64, 64}, u_double) == 0);
  }
}

inline void check_row(const Row& row) {
  INFO(row.name, ", ", row.variant);
  check_value(row);
  check_gradient(row);
  check_jacobian(row);
  check_twice(row);
  check_strided(row);
  check_float(row);
  check_contracts(row);
}

}  // namespace unroll::testing
