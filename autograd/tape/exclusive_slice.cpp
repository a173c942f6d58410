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
void ExclusiveSlice<T>::note_read(View<const T> v) {
  const Range read = columns_of(v);
  if (std::ranges::any_of(known(), [&](const Range& r) { return r.contains(read); })) return;
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
