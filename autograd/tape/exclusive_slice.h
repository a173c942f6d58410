#pragma once

#include <array>
#include <span>

#include <unroll/autograd/tape/postponed_rows.h>

namespace unroll::inline UNROLL_ISA::detail {

/// A value that nobody else will read, whose columns `addmm` may take over for its result: which of them were read, and
/// which are taken. Values are told by where they lie.
template <Real T>
class ExclusiveSlice {
 public:
  /// `postponed`: its rows are not there yet.
  explicit ExclusiveSlice(View<const T> whole, const PostponedRows<T>* postponed = nullptr)
      : whole_(whole), postponed_(postponed) {}

  void note_read(View<const T> v);
  /// Takes the columns of `v`, if none of them was read or is taken: returns whether.
  bool consume(View<const T> v);
  /// Puts the columns of `v` there, but those that were read before or are taken.
  void put(View<const T> v) const { put(columns_of(v)); }
  void put_all() const { put(whole_); }
  bool takes_from(const PostponedRows<T>& rows) const { return postponed_ == &rows; }
  /// Rows that a product in the place of `v` is added to, and the column of theirs; null: they are there.
  Addend<T> addend(View<const T> v) const;
  /// Whether some column is taken.
  bool is_consumed() const { return consumed_; }
  /// Whether some column of `v` is.
  bool is_consumed(View<const T> v) const;

 private:
  static constexpr int most = 12;
  struct Range {
    Index first, last;
    bool consumed;
    bool overlaps(const Range& other) const { return other.first < last && first < other.last; }
    bool contains(const Range& other) const { return first <= other.first && other.last <= last; }
  };

  /// The columns that a view has of the whole: all of them, if it has not all rows.
  Range columns_of(View<const T> v) const;
  void put(const Range& columns) const;
  std::span<const Range> known() const { return {ranges_.data(), static_cast<std::size_t>(count_)}; }

  View<const T> whole_;
  const PostponedRows<T>* postponed_;
  std::array<Range, most> ranges_;
  int count_ = 0;
  bool consumed_ = false;
  bool full_ = false;  // more ranges were read than are kept: nothing more can be consumed
};

extern template class ExclusiveSlice<float>;
extern template class ExclusiveSlice<double>;

}  // namespace unroll::inline UNROLL_ISA::detail
