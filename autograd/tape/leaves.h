#pragma once

#include <cstdint>
#include <vector>

#include <unroll/autograd/tape/parameter.h>

namespace unroll::inline UNROLL_ISA::detail {

/// A parameter that a tape has used, and the node that stands for it.
template <Real T>
struct ParameterLeaf {
  std::uint32_t node;
  const Parameter<T>* parameter;
  std::uint64_t version;
  Gradient<T>* sink;  // what backward adds to, or null

  /// Whether the parameter is still what it was when it was used.
  bool is_current() const { return version == parameter->version(); }
};

/// The leaves of a tape, in the order of their nodes and by parameter. What is added twice, after an edit, is found as
/// it was last.
template <Real T>
class Leaves {
 public:
  /// Numbers count from 1; 0 is none.
  ParameterLeaf<T>& operator[](std::uint32_t number) { return leaves_[number - 1]; }
  const ParameterLeaf<T>& operator[](std::uint32_t number) const { return leaves_[number - 1]; }
  auto begin() { return leaves_.begin(); }
  auto end() { return leaves_.end(); }
  auto begin() const { return leaves_.begin(); }
  auto end() const { return leaves_.end(); }

  /// The number of a parameter's leaf, or 0.
  std::uint32_t find(const Parameter<T>& parameter) const { return table_[slot_of(&parameter)]; }
  /// Returns the number.
  std::uint32_t add(std::uint32_t node, const Parameter<T>& parameter);
  void clear();

 private:
  std::size_t slot_of(const Parameter<T>* parameter) const {
    const std::size_t mask = table_.size() - 1;
    std::size_t slot = (reinterpret_cast<std::uintptr_t>(parameter) >> 6) * 0x9E3779B97F4A7C15ULL >> 32 & mask;
    while (table_[slot] != 0 && leaves_[table_[slot] - 1].parameter != parameter) slot = (slot + 1) & mask;
    return slot;
  }

  std::vector<ParameterLeaf<T>> leaves_;
  // Numbers, by open addressing; at most half of it is taken.
  std::vector<std::uint32_t> table_ = std::vector<std::uint32_t>(64);
};

extern template class Leaves<float>;
extern template class Leaves<double>;

}  // namespace unroll::inline UNROLL_ISA::detail
