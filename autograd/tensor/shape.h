#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>

#include <unroll/autograd/tensor/error.h>

namespace unroll::inline UNROLL_ISA {

using Index = std::ptrdiff_t;

/// The scalar types a tape is instantiated for.
template <class T>
concept Real = std::same_as<T, float> || std::same_as<T, double>;

/// Extents of an array, outermost first; at most `max_rank` of them. A scalar has rank 0 and size 1.
class Shape {
 public:
  static constexpr int max_rank = 6;

  constexpr Shape() = default;
  Shape(std::initializer_list<Index> extents) : Shape(extents.begin(), extents.size()) {}
  explicit Shape(std::span<const Index> extents) : Shape(extents.data(), extents.size()) {}

  int rank() const { return rank_; }
  Index size() const { return size_; }
  /// Extent of an axis; negative axes count from the end.
  Index operator[](int axis) const { return extents_[static_cast<std::size_t>(position(axis))]; }
  /// Extent of the last axis, 1 for a scalar.
  Index cols() const { return rank_ == 0 ? 1 : extents_[static_cast<std::size_t>(rank_ - 1)]; }
  /// Product of all extents but the last.
  Index rows() const {
    Index n = 1;
    for (int i = 0; i + 1 < rank_; ++i) n *= extents_[static_cast<std::size_t>(i)];
    return n;
  }
  /// Axis counted from the front; throws ShapeError when there is no such axis.
  int position(int axis) const {
    const int at = axis < 0 ? axis + rank_ : axis;
    if (at < 0 || at >= rank_) [[unlikely]]
      no_such_axis(axis);
    return at;
  }
  /// The same extents with one replaced.
  Shape with(int axis, Index extent) const;
  Shape without(int axis) const;
  Shape inserted(int axis, Index extent) const;

  /// Such as "[2, 3]".
  std::string text() const;

  std::span<const Index> extents() const { return {extents_.data(), static_cast<std::size_t>(rank_)}; }
  friend bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_ || a.size_ != b.size_) return false;
    for (int i = 0; i < a.rank_; ++i)
      if (a.extents_[static_cast<std::size_t>(i)] != b.extents_[static_cast<std::size_t>(i)]) return false;
    return true;
  }

 private:
  Shape(const Index* extents, std::size_t rank);
  [[noreturn]] void no_such_axis(int axis) const;

  std::array<Index, max_rank> extents_{};
  Index size_ = 1;
  int rank_ = 0;
};

/// Extents of `a op b`: axes are aligned at the end, an extent of 1 stretches. Throws ShapeError naming `op`.
namespace detail {
Shape broadcast_different(const Shape& a, const Shape& b, const char* op);
}
inline Shape broadcast(const Shape& a, const Shape& b, const char* op) {
  return a == b ? a : detail::broadcast_different(a, b, op);
}

}  // namespace unroll::inline UNROLL_ISA

template <>
struct fmt::formatter<unroll::Shape> {
  constexpr auto parse(format_parse_context& context) { return context.begin(); }
  auto format(const unroll::Shape& shape, format_context& context) const {
    auto out = context.out();
    for (const char c : shape.text()) *out++ = c;
    return out;
  }
};
