#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

namespace unroll::inline UNROLL_ISA::detail {

/// What a backward pass has reached of the memory of gradients, unit by unit: nothing, some columns of all its rows, or
/// all. The rest holds what an earlier pass left there, and is zeroed only if it is read or added to.
template <Real T>
class Reached {
 public:
  /// `units` units of which nothing is reached.
  void start(std::size_t units);
  /// Changes the number of units; new ones are not reached.
  void resize(std::size_t units) { states_.resize(units); }

  bool any(std::uint32_t unit) const { return states_[unit] != nothing; }
  bool some_columns(std::uint32_t unit) const { return states_[unit] >= some; }
  /// Whether it is known that the columns first .. last of its rows of `width` elements are reached.
  bool all(std::uint32_t unit, Index first, Index last, Index width) const;
  void mark_all(std::uint32_t unit) { states_[unit] = whole; }
  /// Whether it is known that of the columns first .. last of its rows of `width` elements nothing is reached.
  bool can_mark(std::uint32_t unit, Index first, Index last, Index width) const;
  /// Columns that can be marked are reached now.
  void mark(std::uint32_t unit, Index first, Index last, Index width);
  /// Zeroes what is not reached; then all is.
  void zero_rest(std::uint32_t unit, std::span<T> memory) {
    if (states_[unit] != whole) zero_unreached(unit, memory);
  }

 private:
  /// A unit's state, or some + i: columns_[i].
  enum State : std::uint32_t { nothing, whole, some };
  struct Columns {
    static constexpr int most = 8;
    Index width;
    int count;
    std::array<std::pair<Index, Index>, most> ranges;
  };

  void zero_unreached(std::uint32_t unit, std::span<T> memory);

  std::vector<std::uint32_t> states_;
  std::vector<Columns> columns_;
};

extern template class Reached<float>;
extern template class Reached<double>;

}  // namespace unroll::inline UNROLL_ISA::detail
