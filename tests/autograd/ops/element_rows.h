#pragma once

#include <autograd/ops/check_row.h>

// Rows of element-wise ops: one function of numbers gives the reference under any broadcasting, and the rule is
// compared with itself, a scalar with every lane of a register.

namespace unroll::testing {

struct ElementRow {
  Row row;                      // the op alone
  Row fused;                    // in a formula that reads its first operand again; in double
  std::function<void()> lanes;  // position by position, in both precisions
};

template <int N, class F, class X>
auto call(F f, const X& x) {
  if constexpr (N == 1) return f(x[0]);
  if constexpr (N == 2) return f(x[0], x[1]);
  if constexpr (N == 3) return f(x[0], x[1], x[2]);
}

/// The reference of an element-wise op: numbers, stretched.
template <int N, class R>
std::function<Array(const Arrays&)> stretched(R r) {
  return [r](const Arrays& x) {
    Shape shape = shape_of(x[0]);
    for (const Array& a : x) shape = broadcast(shape, shape_of(a), "reference");
    Array y = make_tensor<double>(shape);
    Arrays wide;
    for (const Array& a : x) wide.emplace_back(xt::broadcast(a, y.shape()));
    for (std::size_t i = 0; i < y.size(); ++i) {
      std::array<double, N> at;
      for (std::size_t k = 0; k < N; ++k) at[k] = wide[k].data()[i];
      y.data()[i] = call<N>(r, at);
    }
    return y;
  };
}

/// What the same program gives for elements first .. last - 1 of each operand: values, then gradients.
template <Real T, int N, class F>
std::vector<Tensor<T>> run_part(F f, const Row& row, const Arrays& x, Index first, Index last) {
  Tape<T> tape;
  const auto whole = enter(tape, row, x);
  std::vector<Var<T>> parts;
  for (const Var<T>& v : whole) parts.push_back(slice(v, -1, first, last));
  const Var<T> y = call<N>(f, parts);
  std::vector<Tensor<T>> result{Tensor<T>(y.value())};
  if (tape.node(y.index()).grad == nullptr) return result;
  Tensor<T> seed = make_tensor<T>(y.shape());
  const Array w = weights_for(row.shapes[0]);
  std::copy_n(w.data() + first, last - first, seed.data());
  tape.backward(y, seed);
  for (std::size_t k = 0; k < parts.size(); ++k)
    if (!row.domain(k).mask) result.emplace_back(parts[k].grad());
  return result;
}

/// How many operands the outermost rule of a formula has, numbers included.
template <class E>
inline constexpr int operands_of = 0;
template <class F, class A>
inline constexpr int operands_of<const detail::Unary<F, A>> = 1;
template <class F, class A, class B>
inline constexpr int operands_of<const detail::Binary<F, A, B>> = 2;
template <class F, class A, class B, class C>
inline constexpr int operands_of<const detail::Ternary<F, A, B, C>> = 3;

/// An element's value and gradient are the same bits wherever it stands, and those of the scalar rule to rounding.
template <Real T, int N, class F>
void check_lanes(F f, Row row) {
  INFO(row.name, ", ", row.variant, sizeof(T) == 4 ? ", float" : ", double");
  constexpr Index most = 5 * lanes<T> + 1;  // twice two registers, one, and a tail
  row.shapes.assign(N, Shape{most});
  const Arrays x = draw(row);
  const auto all = run_part<T, N>(f, row, x, 0, most);
  bool same = true;
  const auto compare = [&](Index first, Index last) {
    const auto part = run_part<T, N>(f, row, x, first, last);
    for (std::size_t k = 0; k < all.size(); ++k)
      same = same && std::memcmp(part[k].data(), all[k].data() + first,
                                 static_cast<std::size_t>(last - first) * sizeof(T)) == 0;
  };
  for (Index n = 1; n <= most; ++n) compare(0, n);
  for (Index first = 1; first < most; ++first) compare(first, most);
  CHECK(same);

  std::vector<Var<T>> none(N);
  const auto formula = call<N>(f, none);
  const double u = (std::same_as<T, float> ? u_float : u_double);
  std::array<T, N> at;
  if constexpr (operands_of<decltype(formula)> == N) {
    Array y = make_tensor<double>({most}), d = make_tensor<double>({most});
    const Array w = weights_for({most});
    for (Index i = 0; i < most; ++i) {
      for (std::size_t k = 0; k < N; ++k) at[k] = static_cast<T>(x[k].data()[i]);
      const T dy = static_cast<T>(w.data()[i]);
      const auto forward = [&](auto... a) { return formula.f.forward(a...); };
      const T value = std::apply(forward, at);
      const auto backward = [&](auto... a) { return formula.f.backward(dy, a..., value); };
      y.data()[i] = static_cast<double>(value);
      if constexpr (N == 1)
        d.data()[i] = static_cast<double>(std::apply(backward, at));
      else
        d.data()[i] = static_cast<double>(std::apply(backward, at)[N - 1]);
    }
    const double factor = 2 * row.options.double_factor;  // both round
    const auto twice = [&](Rounding r) { return Rounding{factor * r.relative, factor * r.absolute}; };
    CHECK(excess(y, Array(xt::cast<double>(all[0])), twice(row.options.forward), u) == 0);
    if (all.size() > 1) CHECK(excess(d, Array(xt::cast<double>(all.back())), twice(row.options.backward), u) == 0);
  }
}

/// A row of an op of N operands; `f` takes values of either precision, `r` numbers.
template <int N, class F, class R>
ElementRow element(const std::string& name, const std::string& variant, F f, R r, RowOptions options = {}) {
  const std::vector<Shape> shapes(N, Shape{2, 3, 9});
  ElementRow result;
  const auto alone = [f](auto v) { return Var<typename decltype(v)::value_type::scalar>(call<N>(f, v)); };
  result.row = row(name, variant, shapes, alone, stretched<N>(r), options);
  result.lanes = [f, plain = result.row] {
    check_lanes<float, N>(f, plain);
    check_lanes<double, N>(f, plain);
  };
  result.fused = result.row;
  result.fused.variant += " in a formula";
  result.fused.options.forward = {2 * options.forward.relative + 4, 4 * options.forward.absolute + 8};
  if constexpr (N == 1) {
    result.fused.shapes.push_back({2, 3, 9});
    result.fused.options.domains.push_back({-2, 2});
    result.fused.in_double = [f](Vars<double> v) { return Var<double>(f(v[0]) * v[1] - v[0]); };
    result.fused.reference = stretched<2>([r](double a, double b) { return r(a) * b - a; });
  } else {
    result.fused.in_double = [f](Vars<double> v) { return Var<double>(v[N - 1] * call<N>(f, v) - v[N - 1]); };
    result.fused.reference = stretched<N>([r](auto... x) {
      const std::array<double, N> all{x...};
      return all[N - 1] * r(x...) - all[N - 1];
    });
  }
  return result;
}

/// Pairs of extents that broadcast against each other: row, column, scalar, one step, one sequence, both ways.
inline std::vector<std::array<Shape, 2>> broadcast_pairs() {
  const Shape whole{2, 3, 9};
  std::vector<std::array<Shape, 2>> pairs{{whole, whole},
                                          {Shape{2, 1, 1}, Shape{3, 9}},
                                          {Shape{3, 1}, Shape{1, 9}},
                                          {Shape{9}, Shape{3, 1}},
                                          {Shape{1}, Shape{}}};
  for (const Shape& s :
       {Shape{9}, Shape{3, 1}, Shape{}, Shape{1}, Shape{2, 1, 9}, Shape{3, 9}, Shape{2, 3, 1}, Shape{1, 3, 1}}) {
    pairs.push_back({whole, s});
    pairs.push_back({s, whole});
  }
  return pairs;
}

/// The row with its operands stretched over each other; sums of `terms` gradients of at most 4 round as sums do.
inline Row broadcasting(Row row, const Shape& a, const Shape& b) {
  for (std::size_t k = 0; k < row.shapes.size(); ++k) row.shapes[k] = k % 2 == 0 ? a : b;
  const double terms = static_cast<double>(broadcast(a, b, "rows").size());
  row.variant += fmt::format(", {} with {}", a, b);
  row.options.backward.relative += 4;
  row.options.backward.absolute += terms * terms * 4;
  return row;
}

inline void check_fused(const Row& fused) {
  INFO(fused.name, ", ", fused.variant);
  check_value(fused);
  check_gradient(fused);
  check_strided(fused);
  check_contracts(fused);
}

}  // namespace unroll::testing
