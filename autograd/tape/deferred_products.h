#pragma once

#include <cstdint>
#include <vector>

#include <unroll/autograd/tape/arena.h>
#include <unroll/autograd/tensor/tensor.h>

namespace unroll::inline UNROLL_ISA::detail {

/// Products a^T b, of the inputs and the output's gradients of many steps, that wait to be added to the gradient of a
/// matrix: those of one matrix are done together.
template <Real T>
class DeferredProducts {
 public:
  /// Nothing waits, for any of `nodes` nodes.
  void start(std::size_t nodes);
  bool wait_for(std::uint32_t node) const { return places_[node] != 0 && !entry(node).list.empty(); }
  /// Adds a product, which may have no rows, to those that wait for a node; returns how many rows they have.
  Index add(std::uint32_t node, View<const T> a, View<const T> b);
  /// Does all that wait for a node: adds them to its gradient, or overwrites that. `scratch` is rewound.
  void flush(std::uint32_t node, View<T> gradient, bool overwrite, Arena& scratch);

 private:
  struct Product {
    View<const T> a, b;
  };
  struct Entry {
    std::vector<Product> list;
    Index rows = 0;
  };
  Entry& entry(std::uint32_t node) { return entries_[places_[node] - 1]; }
  const Entry& entry(std::uint32_t node) const { return entries_[places_[node] - 1]; }

  std::vector<std::uint32_t> places_;  // by node: 1 + index into entries_, or 0
  std::vector<Entry> entries_;
  std::uint32_t used_ = 0;
};

extern template class DeferredProducts<float>;
extern template class DeferredProducts<double>;

}  // namespace unroll::inline UNROLL_ISA::detail
