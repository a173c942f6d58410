#pragma once

#include <algorithm>
#include <array>

#include <unroll/autograd/tensor/tensor.h>

namespace unroll::inline UNROLL_ISA::detail {

/// Memory that will be read soon, and has left the cache. Products wait for arithmetic, not for memory: they fetch a
/// line of it with each row of the depth.
class FetchAhead {
 public:
  static constexpr Index line = 64;  // bytes
  /// What the products of this thread fetch.
  static FetchAhead& of_thread() {
    static constinit thread_local FetchAhead result;
    return result;
  }

  void clear() { first_ = end_ = 0; }
  /// Adds memory, to what touches it if there is such. What there is no place for is not fetched.
  void add(const void* data, Index bytes) {
    if (bytes <= 0) return;
    Range added{static_cast<const char*>(data), static_cast<const char*>(data) + bytes};
    for (Range& r : std::span(ranges_).first(end_))
      if (added.begin <= r.end && r.begin <= added.end) {
        r = {std::min(r.begin, added.begin), std::max(r.end, added.end)};
        return;
      }
    if (end_ < ranges_.size()) ranges_[end_++] = added;
  }
  /// Where the next `lines` lines begin, or null. What they have beyond the memory does no harm.
  template <class T>
  const T* take(Index lines) {
    if (first_ == end_) return nullptr;
    Range& r = ranges_[first_];
    const char* const begin = r.begin;
    r.begin += std::min(lines * line, static_cast<Index>(r.end - r.begin));
    if (r.begin == r.end) ++first_;
    return reinterpret_cast<const T*>(begin);
  }

 private:
  struct Range {
    const char *begin = nullptr, *end = nullptr;
  };
  std::array<Range, 16> ranges_{};
  std::size_t first_ = 0, end_ = 0;
};

}  // namespace unroll::inline UNROLL_ISA::detail
