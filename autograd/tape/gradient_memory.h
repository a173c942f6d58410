#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <unroll/autograd/tape/node.h>
#include <unroll/autograd/tape/reached.h>

namespace unroll::inline UNROLL_ISA::detail {

/// The memory that gradients of nodes lie in: blocks, each with units (the steps of a sequence) that are zeroed when a
/// backward pass first reaches them. Nodes say which block is theirs; that of parameters is block 0, without memory.
template <Real T>
class GradientMemory {
 public:
  GradientMemory() { clear(); }
  /// Forgets all blocks but block 0.
  void clear();
  /// Adds a block for a value of this shape, allocated for node `owner`.
  std::uint32_t add(T* grad, const Shape& shape, std::uint32_t owner);
  /// Adds a block that holds the gradient of a value on another tape: all of it is reached from the start.
  std::uint32_t add_lent(T* grad, const Shape& shape, std::uint32_t owner);

  /// The node that a block was allocated for.
  std::uint32_t owner_of(std::uint32_t block) const { return blocks_[block].owner; }
  /// Whether an op has taken what lies in a block as an operand.
  bool is_read(std::uint32_t block) const { return blocks_[block].read; }
  void note_read(std::uint32_t block) { blocks_[block].read = true; }
  /// Whether rows of the value that a block was allocated for were postponed.
  bool is_postponed(std::uint32_t block) const { return blocks_[block].postponed; }
  void note_postponed(std::uint32_t block) { blocks_[block].postponed = true; }
  std::size_t bytes() const { return blocks_.size() * sizeof(Block); }

  /// A backward pass begins: nothing is reached.
  void start();
  /// Blocks that were added since are not reached.
  void extend() { reached_.resize(unit_count_); }
  /// Whether some of a node's gradient is reached.
  bool reached(const Node<T>& n) const;
  /// Zeroes what is not reached of a node's gradient: then all is, and can be added to.
  void reach(const Node<T>& n) {
    const Block& block = blocks_[n.block];
    if (block.units == 1 && !reached_.some_columns(block.first)) [[likely]]
      reached_.zero_rest(block.first, block.gradient_of(0));
    else
      reach_units(n, block);
  }
  /// If nothing of a node's gradient is reached, and that can be told, then all is now: returns whether. The memory
  /// holds anything then.
  bool claim(const Node<T>& n);

 private:
  struct Block {
    T* grad = nullptr;
    Index unit = 0;                      // elements
    std::uint32_t first = 0, units = 1;  // units in the order of all
    std::uint32_t owner = 0;
    bool read = false, postponed = false;

    std::span<T> gradient_of(std::uint32_t u) const {
      return {grad + static_cast<Index>(u) * unit, static_cast<std::size_t>(unit)};
    }
  };
  /// The units that a node's gradient lies in: first .. last - 1 of the block.
  static std::pair<std::uint32_t, std::uint32_t> units_of(const Node<T>& n, const Block& block);
  void reach_units(const Node<T>& n, const Block& block);

  std::vector<Block> blocks_;
  std::uint32_t unit_count_ = 0;
  std::vector<std::uint32_t> lent_;  // units whose gradient is that of another tape
  Reached<T> reached_;
};

extern template class GradientMemory<float>;
extern template class GradientMemory<double>;

}  // namespace unroll::inline UNROLL_ISA::detail
