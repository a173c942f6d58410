#include <unroll/autograd/tensor/shape.h>

namespace unroll::inline UNROLL_ISA {

Shape::Shape(const Index* extents, std::size_t rank) {
  require<ShapeError>(rank <= max_rank, "shape: {} axes, at most {} are supported", rank, int{max_rank});
  rank_ = static_cast<int>(rank);
  std::copy_n(extents, rank, extents_.begin());
  // The product of the non-zero extents must fit too: rows() and strides are products of parts.
  Index product = 1;
  constexpr Index element_limit = PTRDIFF_MAX / 64;
  for (int i = 0; i < rank_; ++i) {
    const Index n = extents[i];
    require<ShapeError>(n >= 0, "shape: negative extent in {}", *this);
    const bool overflows = __builtin_mul_overflow(product, std::max<Index>(n, 1), &product) || product > element_limit;
    require<ShapeError>(!overflows, "shape: the number of elements of {} overflows", *this);
    size_ *= n;
  }
}

void Shape::no_such_axis(int axis) const { throw ShapeError(fmt::format("shape: no axis {} in {}", axis, *this)); }

std::string Shape::text() const {
  std::string result = "[";
  for (int i = 0; i < rank_; ++i)
    result += (i == 0 ? "" : ", ") + std::to_string(extents_[static_cast<std::size_t>(i)]);
  return result + "]";
}

Shape Shape::with(int axis, Index extent) const {
  auto extents = extents_;
  extents[static_cast<std::size_t>(position(axis))] = extent;
  return Shape(extents.data(), static_cast<std::size_t>(rank_));
}

Shape Shape::without(int axis) const {
  auto extents = extents_;
  const int at = position(axis);
  std::copy(extents_.begin() + at + 1, extents_.begin() + rank_, extents.begin() + at);
  return Shape(extents.data(), static_cast<std::size_t>(rank_ - 1));
}

Shape Shape::inserted(int axis, Index extent) const {
  require<ShapeError>(rank_ < max_rank, "shape: {} has no room for another axis", *this);
  const int at = axis < 0 ? axis + rank_ + 1 : axis;
  if (at < 0 || at > rank_) no_such_axis(axis);
  auto extents = extents_;
  std::copy_backward(extents_.begin() + at, extents_.begin() + rank_, extents.begin() + rank_ + 1);
  extents[static_cast<std::size_t>(at)] = extent;
  return Shape(extents.data(), static_cast<std::size_t>(rank_ + 1));
}

Shape detail::broadcast_different(const Shape& a, const Shape& b, const char* op) {
  if (b.rank() == 0) return a;
  if (a.rank() == 0) return b;
  const Shape& longer = a.rank() >= b.rank() ? a : b;
  Shape result = longer;
  for (int i = 1; i <= std::min(a.rank(), b.rank()); ++i) {
    const Index m = a[-i], n = b[-i];
    require<ShapeError>(m == n || m == 1 || n == 1, "{}: extents differ: {} and {}", op, a, b);
    if (const Index extent = m == 1 ? n : m; result[-i] != extent) result = result.with(-i, extent);
  }
  return result;
}

}  // namespace unroll::inline UNROLL_ISA
