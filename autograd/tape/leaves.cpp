#include <unroll/autograd/tape/leaves.h>

#include <algorithm>

namespace unroll::inline UNROLL_ISA::detail {

template <Real T>
std::uint32_t Leaves<T>::add(std::uint32_t node, const Parameter<T>& parameter) {
  leaves_.push_back({node, &parameter, parameter.version(), nullptr});
  const auto number = static_cast<std::uint32_t>(leaves_.size());
  if (2 * leaves_.size() <= table_.size()) {
    table_[slot_of(&parameter)] = number;
  } else {
    table_.assign(table_.size() * 2, 0);
    for (std::uint32_t i = 1; i <= number; ++i) table_[slot_of((*this)[i].parameter)] = i;
  }
  return number;
}

template <Real T>
void Leaves<T>::clear() {
  leaves_.clear();
  std::ranges::fill(table_, 0u);
}

template class Leaves<float>;
template class Leaves<double>;

}  // namespace unroll::inline UNROLL_ISA::detail
