#include <unroll/autograd/tape/reached.h>

#include <algorithm>

namespace unroll::inline UNROLL_ISA::detail {

template <Real T>
void Reached<T>::start(std::size_t units) {
  states_.assign(units, nothing);
  columns_.clear();
}

template <Real T>
bool Reached<T>::all(std::uint32_t unit, Index first, Index last, Index width) const {
  const std::uint32_t state = states_[unit];
  if (state < some) return state == whole;
  const Columns& c = columns_[state - some];
  return c.width == width && std::any_of(c.ranges.begin(), c.ranges.begin() + c.count, [&](const auto& range) {
           return range.first <= first && last <= range.second;
         });
}

template <Real T>
bool Reached<T>::can_mark(std::uint32_t unit, Index first, Index last, Index width) const {
  const std::uint32_t state = states_[unit];
  if (state < some) return state == nothing;
  const Columns& c = columns_[state - some];
  if (c.width != width || c.count == Columns::most) return false;
  return std::none_of(c.ranges.begin(), c.ranges.begin() + c.count,
                      [&](const auto& range) { return range.first < last && first < range.second; });
}

template <Real T>
void Reached<T>::mark(std::uint32_t unit, Index first, Index last, Index width) {
  std::uint32_t& state = states_[unit];
  if (last - first == width) {
    state = whole;
    return;
  }
  if (state == nothing) {
    state = some + static_cast<std::uint32_t>(columns_.size());
    columns_.push_back({width, 0, {}});
  }
  Columns& c = columns_[state - some];
  c.ranges[static_cast<std::size_t>(c.count++)] = {first, last};
  Index sum = 0;
  for (int i = 0; i < c.count; ++i) {
    const auto [from, to] = c.ranges[static_cast<std::size_t>(i)];
    sum += to - from;
  }
  if (sum == width) state = whole;
}

template <Real T>
void Reached<T>::zero_unreached(std::uint32_t unit, std::span<T> memory) {
  const std::uint32_t state = std::exchange(states_[unit], std::uint32_t{whole});
  if (state == nothing) {
    if (memory.size() == 1)
      memory.front() = 0;  // a call costs more
    else
      std::ranges::fill(memory, T(0));
  }
  if (state < some) return;
  Columns& c = columns_[state - some];
  std::sort(c.ranges.begin(), c.ranges.begin() + c.count);
  T* const end = memory.data() + memory.size();
  for (T* row = memory.data(); row < end; row += c.width) {
    Index done = 0;
    for (int i = 0; i < c.count; ++i) {
      const auto [first, last] = c.ranges[static_cast<std::size_t>(i)];
      std::fill(row + done, row + first, T(0));
      done = last;
    }
    std::fill(row + done, row + c.width, T(0));
  }
}

template class Reached<float>;
template class Reached<double>;

}  // namespace unroll::inline UNROLL_ISA::detail
