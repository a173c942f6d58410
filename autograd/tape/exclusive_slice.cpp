#include <unroll/autograd/tape/exclusive_slice.h>

#include <algorithm>

namespace unroll::inline UNROLL_ISA::detail {

template <Real T>
auto ExclusiveSlice<T>::columns_of(View<const T> v) const -> Range {
  const Index first = v.data - whole_.data;
  const bool same_rows = v.rows == whole_.rows && (v.stride == whole_.stride || whole_.rows == 1);
  if (!same_rows || first < 0 || first + v.cols > whole_.stride) return {0, whole_.stride, false};
  return {first, first + v.cols, false};
}

template <Real T>
void ExclusiveSlice<T>::put(const Range& columns) const {
  if (postponed_ == nullptr) return;
  const Index last = std::min(columns.last, whole_.cols);
  for (Index c = columns.first; c < last;) {
    Index end = last;
    bool there = false;
    for (const Range& r : known())
      if (r.first <= c && c < r.last)
        there = true, end = r.last;
      else if (c < r.first && !there)
        end = std::min(end, r.first);
    if (!there) postponed_->put(postponed_->row_of(whole_), whole_.rows, c, end);
    c = end;
  }
}

template <Real T>
Addend<T> ExclusiveSlice<T>::addend(View<const T> v) const {
  if (postponed_ == nullptr) return true;
  return {postponed_->rows.at + postponed_->row_of(whole_), v.data - whole_.data};
}

template <Real T>
void ExclusiveSlice<T>::note_read(View<const T> v) {
  const Range read = columns_of(v);
  if (std::ranges::any_of(known(), [&](const Range& r) { return r.contains(read); })) return;
  put(read);
  if (count_ < most)
    ranges_[static_cast<std::size_t>(count_++)] = read;
  else
    full_ = true;
}

template <Real T>
bool ExclusiveSlice<T>::consume(View<const T> v) {
  Range taken = columns_of(v);
  if (full_ || count_ == most || taken.last - taken.first != v.cols) return false;
  if (std::ranges::any_of(known(), [&](const Range& r) { return r.overlaps(taken); })) return false;
  taken.consumed = consumed_ = true;
  ranges_[static_cast<std::size_t>(count_++)] = taken;
  return true;
}

template <Real T>
bool ExclusiveSlice<T>::is_consumed(View<const T> v) const {
  const Range columns = columns_of(v);
  return std::ranges::any_of(known(), [&](const Range& r) { return r.consumed && r.overlaps(columns); });
}

template class ExclusiveSlice<float>;
template class ExclusiveSlice<double>;

}  // namespace unroll::inline UNROLL_ISA::detail
