#pragma once

#include <span>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

namespace unroll::inline UNROLL_ISA {

/// A batch of trees, as the parent of each node; nodes are numbered through all trees, and the children of a node are
/// in the order of their numbers.
class Forest {
 public:
  /// The parent of each node, -1 for a root. Throws ValueError naming a node whose parent is not a node, or that is its
  /// own ancestor.
  explicit Forest(std::span<const Index> parents);

  Index size() const { return static_cast<Index>(parents_.size()); }
  std::span<const Index> parents() const { return parents_; }
  /// In the order of their numbers.
  std::span<const Index> roots() const { return levels_.empty() ? std::span<const Index>() : level(0); }

  /// A level is the nodes as far from their roots, sorted by their parents' places in the level above: children lie
  /// side by side.
  Index depth() const { return static_cast<Index>(levels_.size()); }
  std::span<const Index> level(Index depth) const { return levels_[static_cast<std::size_t>(depth)]; }
  /// For each node of a level below the roots, the place of its parent in the level above.
  std::span<const Index> above(Index depth) const { return above_[static_cast<std::size_t>(depth)]; }

 private:
  std::vector<Index> parents_;
  std::vector<std::vector<Index>> levels_, above_;
};

}  // namespace unroll::inline UNROLL_ISA
