#pragma once

#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>

#include <utility>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

// The one door to xtensor: values come in and go out as its arrays.

namespace unroll::inline UNROLL_ISA {

/// Values with a shape: xtensor's own row-major array.
template <Real T = float>
using Tensor = xt::xarray<T, xt::layout_type::row_major>;

/// A short list that allocates only beyond eight entries.
template <class T>
using Few = xt::svector<T, 8>;

/// A rectangle of memory: `rows` runs of `cols` adjacent elements, `stride` elements apart. Owns nothing.
template <class T>
struct View {
  T* data = nullptr;
  Index rows = 0, cols = 0, stride = 0;

  T* row(Index r) const { return data + r * stride; }
  bool contiguous() const { return stride == cols || rows <= 1; }
  Index size() const { return rows * cols; }
  View rows_between(Index first, Index last) const { return {row(first), last - first, cols, stride}; }
  View columns_between(Index first, Index last) const { return {data + first, rows, last - first, stride}; }
  operator View<const T>() const { return {data, rows, cols, stride}; }
};

template <class E>
Shape shape_of(const E& array) {
  std::array<Index, Shape::max_rank + 1> extents{};
  const auto& shape = array.shape();
  std::size_t n = 0;
  for (auto extent : shape)
    if (n <= Shape::max_rank) extents[n++] = static_cast<Index>(extent);
  return Shape(std::span<const Index>(extents.data(), n));
}

/// An uninitialised tensor.
template <Real T>
Tensor<T> make_tensor(const Shape& shape) {
  const auto extents = shape.extents();
  return Tensor<T>(typename Tensor<T>::shape_type(extents.begin(), extents.end()));
}

template <Real T>
Tensor<T> make_tensor(const Shape& shape, T value) {
  const auto extents = shape.extents();
  return Tensor<T>(typename Tensor<T>::shape_type(extents.begin(), extents.end()), value);
}

/// A tensor as the rectangle of its last axis.
template <Real T>
View<const T> view_of(const Tensor<T>& t) {
  const Shape s = shape_of(t);
  return {t.data(), s.rows(), s.cols(), s.cols()};
}
template <Real T>
View<T> view_of(Tensor<T>& t) {
  const Shape s = shape_of(t);
  return {t.data(), s.rows(), s.cols(), s.cols()};
}

/// An xtensor adaptor over memory of the given shape whose rows lie `stride` elements apart.
template <class T>
auto adapt(T* data, const Shape& shape, Index stride) {
  xt::dynamic_shape<std::size_t> extents(static_cast<std::size_t>(shape.rank()));
  xt::dynamic_shape<std::ptrdiff_t> strides(extents.size());
  Index step = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    const auto at = static_cast<std::size_t>(i);
    extents[at] = static_cast<std::size_t>(shape[i]);
    strides[at] = shape[i] == 1 ? 0 : step;
    step = i == shape.rank() - 1 ? stride : step * shape[i];
  }
  // The buffer's size must be the number of elements, also where they lie apart: xtensor compares the two.
  return xt::adapt(data, static_cast<std::size_t>(shape.size()), xt::no_ownership(), extents, strides);
}

}  // namespace unroll::inline UNROLL_ISA
