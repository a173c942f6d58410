#include <unroll/autograd/tape/gradient_memory.h>

namespace unroll::inline UNROLL_ISA::detail {

template <Real T>
void GradientMemory<T>::clear() {
  blocks_.assign(1, {.read = true});
  unit_count_ = 1;
  lent_.clear();
  reached_.start(0);
}

template <Real T>
std::uint32_t GradientMemory<T>::add(T* grad, const Shape& shape, std::uint32_t owner) {
  Block& block = blocks_.emplace_back();
  block.grad = grad;
  block.unit = shape.size();
  block.first = unit_count_;
  block.owner = owner;
  // A sequence is zeroed step by step, as the gradient of each step first arrives.
  if (shape.rank() >= 3 && shape.size() > 0) {
    block.units = static_cast<std::uint32_t>(shape[0]);
    block.unit /= shape[0];
  }
  unit_count_ += block.units;
  return static_cast<std::uint32_t>(blocks_.size() - 1);
}

template <Real T>
std::uint32_t GradientMemory<T>::add_lent(T* grad, const Shape& shape, std::uint32_t owner) {
  lent_.push_back(unit_count_++);
  blocks_.push_back({.grad = grad, .unit = shape.size(), .first = lent_.back(), .owner = owner, .read = true});
  return static_cast<std::uint32_t>(blocks_.size() - 1);
}

template <Real T>
void GradientMemory<T>::start() {
  reached_.start(unit_count_);
  for (const std::uint32_t unit : lent_) reached_.mark_all(unit);
}

template <Real T>
std::pair<std::uint32_t, std::uint32_t> GradientMemory<T>::units_of(const Node<T>& n, const Block& block) {
  if (block.units == 1 || block.unit == 0) return {0, 1};
  const Index offset = n.grad - block.grad;
  const Index end = offset + (n.shape.rows() - 1) * n.stride + n.shape.cols();
  const auto first = static_cast<std::uint32_t>(offset / block.unit);
  // Most values lie in one unit, and divisions are slow.
  if (end <= (first + Index{1}) * block.unit) return {first, first + 1};
  return {first, static_cast<std::uint32_t>((end - 1) / block.unit + 1)};
}

template <Real T>
bool GradientMemory<T>::reached(const Node<T>& n) const {
  if (n.shape.size() == 0) return false;
  const Block& block = blocks_[n.block];
  if (block.units == 1) return reached_.any(block.first);
  const auto [first, last] = units_of(n, block);
  for (std::uint32_t u = first; u < last; ++u)
    if (reached_.any(block.first + u)) return true;
  return false;
}

template <Real T>
void GradientMemory<T>::reach_units(const Node<T>& n, const Block& block) {
  if (n.shape.size() == 0) return;
  const auto [first, last] = units_of(n, block);
  const Index left = n.grad - block.grad - first * block.unit, right = left + n.shape.cols();
  const bool evenly = right <= n.stride && (n.stride == n.shape.cols() || block.unit % n.stride == 0);
  for (std::uint32_t u = first; u < last; ++u)
    if (!evenly || !reached_.all(block.first + u, left, right, n.stride))
      reached_.zero_rest(block.first + u, block.gradient_of(u));
}

template <Real T>
bool GradientMemory<T>::claim(const Node<T>& n) {
  const Block& block = blocks_[n.block];
  const auto [first, last] = units_of(n, block);
  const Index left = n.grad - block.grad - first * block.unit, right = left + n.shape.cols();
  // All rows of whole units, and either their columns or all of them.
  bool fresh = n.shape.size() > 0 && n.shape.rows() * n.stride == (last - first) * block.unit && right <= n.stride &&
               (n.stride == n.shape.cols() || block.unit % n.stride == 0);
  for (std::uint32_t u = first; fresh && u < last; ++u)
    fresh = reached_.can_mark(block.first + u, left, right, n.stride);
  if (!fresh) return false;
  for (std::uint32_t u = first; u < last; ++u) reached_.mark(block.first + u, left, right, n.stride);
  return true;
}

template class GradientMemory<float>;
template class GradientMemory<double>;

}  // namespace unroll::inline UNROLL_ISA::detail
