#pragma once

#include <doctest/doctest.h>

#include <unroll/autograd/autograd.h>

// One row per op: its name, the function, its operands and a reference in `std`. check_row() derives from it all that
// must hold of any op.

namespace unroll::testing {

using Array = Tensor<double>;
using Arrays = std::vector<Array>;
template <Real T>
using Vars = std::span<const Var<T>>;
template <Real T>
using Program = std::function<Var<T>(Vars<T>)>;

/// Where the elements of an operand lie. Differences of them stay clear of the kinks.
struct Domain {
  double low = -2, high = 2;
  std::vector<double> kinks = {};
  bool mask = false;  // 0 and 1; entered as a constant
};

/// What rounding may do to a result y: |error| <= u (relative |y| + absolute), u half a unit in the last place of 1.
struct Rounding {
  double relative = 0, absolute = 0;
};

struct RowOptions {
  std::vector<Domain> domains = {{}};  // the last serves all further operands
  Rounding forward = {}, backward = {};
  double double_factor = 1;  // a function of doubles that is so many times worse than that of floats
};

struct Row {
  std::string name, variant;
  std::vector<Shape> shapes;
  Program<float> in_float;
  Program<double> in_double;
  std::function<Array(const Arrays&)> reference;
  RowOptions options;

  template <Real T>
  const Program<T>& program() const {
    if constexpr (std::same_as<T, float>)
      return in_float;
    else
      return in_double;
  }
  const Domain& domain(std::size_t operand) const {
    return options.domains[std::min(operand, options.domains.size() - 1)];
  }
};

/// `f` takes a span of Vars, of either scalar.
template <class F>
Row row(std::string name, std::string variant, std::vector<Shape> shapes, F f,
        std::function<Array(const Arrays&)> reference, RowOptions options = {}) {
  return {std::move(name), std::move(variant), std::move(shapes), f, f, std::move(reference), std::move(options)};
}

/// Distinct elements spread over the domain of each operand: no two lie closer than differences reach.
inline Arrays draw(const Row& row) {
  Index total = 0, at = 0;
  for (const Shape& s : row.shapes) total += s.size();
  std::vector<Index> order(static_cast<std::size_t>(total));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<Index>(i);
  Rng rng(3);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[static_cast<std::size_t>(rng.below(static_cast<Index>(i)))]);
  Arrays result;
  for (std::size_t k = 0; k < row.shapes.size(); ++k) {
    const Domain& d = row.domain(k);
    Array a = make_tensor<double>(row.shapes[k]);
    for (double& x : a) {
      const double share = (static_cast<double>(order[static_cast<std::size_t>(at++)]) + 0.5) / static_cast<double>(total);
      x = d.low + (d.high - d.low) * share;
      for (const double kink : d.kinks)
        if (std::abs(x - kink) < 4e-3) x = kink + 5e-3;
      if (d.mask) x = share < 0.5 ? 0 : 1;
      x = static_cast<float>(x);  // the same number in both precisions
    }
    result.push_back(std::move(a));
  }
  return result;
}

template <Real T>
Tensor<T> as(const Array& a) {
  return Tensor<T>(xt::cast<T>(a));
}

/// The operands on a tape: variables, and constants where differences make no sense.
template <Real T>
std::vector<Var<T>> enter(Tape<T>& tape, const Row& row, const Arrays& x) {
  std::vector<Var<T>> vars;
  for (std::size_t k = 0; k < x.size(); ++k)
    vars.push_back(row.domain(k).mask ? tape.constant(as<T>(x[k])) : tape.variable(as<T>(x[k])));
  return vars;
}

/// Fixed weights in -1 .. 1 that make a scalar of any result.
inline Array weights_for(const Shape& shape) {
  Array w = make_tensor<double>(shape);
  Rng rng(11);
  for (double& x : w) x = static_cast<float>(rng.uniform(-1.0, 1.0));
  return w;
}

template <Operand X>
auto weighted(const X& x) {
  const auto y = as_var(x);
  using T = typename X::scalar;
  return sum(y * y.tape().constant(as<T>(weights_for(y.shape()))));
}

template <Real T>
Array value_of(const Var<T>& y) {
  return Array(xt::cast<double>(y.value()));
}

/// The largest excess of |got - want| over what `rounding` allows in units of `u`; infinite for other shapes or NaN.
inline double excess(const Array& got, const Array& want, const Rounding& rounding, double u) {
  if (shape_of(got) != shape_of(want)) return INFINITY;
  double worst = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double allowed = u * (rounding.relative * std::abs(want.data()[i]) + rounding.absolute);
    const double error = std::abs(got.data()[i] - want.data()[i]);
    if (!(error <= allowed)) worst = std::isnan(error) ? INFINITY : std::max(worst, error - allowed);
  }
  return worst;
}

inline constexpr double u_float = 0x1p-24, u_double = 0x1p-53;

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
  expect_gradients({x.back()}, {false}, [&](Vars<double> v) {
    return row.in_double(std::vector<Var<double>>(row.shapes.size(), v[0]));
  });
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
    for (Index r = 0; r < s.rows(); ++r) std::copy_n(x[k].data() + r * s.cols(), s.cols(), w.data() + r * (s.cols() + 5) + 2);
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
