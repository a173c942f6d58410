#pragma once

#include <doctest/doctest.h>

#include <unroll/autograd/autograd.h>

// One row per op: its name, the function, its operands and a reference in `std`. check_row.h derives from it what must
// hold of any op.

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
  shuffle(order, rng);
  Arrays result;
  for (std::size_t k = 0; k < row.shapes.size(); ++k) {
    const Domain& d = row.domain(k);
    Array a = make_tensor<double>(row.shapes[k]);
    for (double& x : a) {
      const double share =
          (static_cast<double>(order[static_cast<std::size_t>(at++)]) + 0.5) / static_cast<double>(total);
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

}  // namespace unroll::testing
