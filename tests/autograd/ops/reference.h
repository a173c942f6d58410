#pragma once

#include <autograd/ops/check_row.h>

// References of structural ops: loops over indices, written for reading.

namespace unroll::testing {

using At = std::array<Index, Shape::max_rank>;

/// An array whose element at each index is f(index).
template <class F>
Array tabulate(const Shape& shape, F f) {
  Array y = make_tensor<double>(shape);
  At at{};
  for (std::size_t i = 0; i < y.size(); ++i) {
    y.data()[i] = f(at);
    for (int d = shape.rank() - 1; d >= 0; --d) {
      if (++at[static_cast<std::size_t>(d)] < shape[d]) break;
      at[static_cast<std::size_t>(d)] = 0;
    }
  }
  return y;
}

inline double element_at(const Array& x, const At& at) {
  const Shape shape = shape_of(x);
  Index flat = 0;
  for (int d = 0; d < shape.rank(); ++d) flat = flat * shape[d] + at[static_cast<std::size_t>(d)];
  return x.data()[flat];
}

inline At with(At at, int axis, Index value) {
  at[static_cast<std::size_t>(axis)] = value;
  return at;
}
/// The index with an axis more, or one less.
inline At insert(const At& at, int axis, Index value) {
  At wide{};
  for (std::size_t d = 0, from = 0; d < wide.size(); ++d)
    wide[d] = d == static_cast<std::size_t>(axis) ? value : at[from++];
  return wide;
}

/// The elements of x along an axis, at an index without that axis.
inline std::vector<double> line(const Array& x, const At& at, int axis) {
  std::vector<double> result;
  for (Index k = 0; k < shape_of(x)[axis]; ++k) result.push_back(element_at(x, insert(at, axis, k)));
  return result;
}

inline Array transposed(const Array& x) {
  const Shape s = shape_of(x);
  return tabulate({s[1], s[0]}, [&](const At& at) { return element_at(x, {at[1], at[0]}); });
}

/// a b of two matrices.
inline Array product(const Array& a, const Array& b) {
  return tabulate({shape_of(a)[0], shape_of(b)[1]}, [&](const At& at) {
    double total = 0;
    for (Index k = 0; k < shape_of(a)[1]; ++k) total += element_at(a, {at[0], k}) * element_at(b, {k, at[1]});
    return total;
  });
}

inline Array reshaped(const Array& x, const Shape& shape) {
  Array y = make_tensor<double>(shape);
  std::copy(x.begin(), x.end(), y.begin());
  return y;
}

/// Matrix number i of a batch.
inline Array matrix(const Array& x, Index i) {
  const Shape s = shape_of(x);
  return tabulate({s[1], s[2]}, [&](const At& at) { return element_at(x, {i, at[0], at[1]}); });
}

}  // namespace unroll::testing
