#include <unroll/autograd/tensor/error.h>
#include <unroll/layers/forest.h>

namespace unroll::inline UNROLL_ISA {

Forest::Forest(std::span<const Index> parents) : parents_(parents.begin(), parents.end()) {
  const auto at = [](Index i) { return static_cast<std::size_t>(i); };
  std::vector<std::vector<Index>> children(parents.size());
  std::vector<Index> level, places;
  for (Index node = 0; node < size(); ++node) {
    const Index parent = parents[at(node)];
    require<ValueError>(parent >= -1 && parent < size(), "forest: node {} has the parent {}, and there are {} nodes",
                        node, parent, size());
    if (parent < 0)
      level.push_back(node);
    else
      children[at(parent)].push_back(node);
  }
  std::vector<bool> reached(parents.size());
  for (places.assign(level.size(), -1); !level.empty();) {
    levels_.push_back(level);
    above_.push_back(places);
    places.clear();
    level.clear();
    const std::vector<Index>& last = levels_.back();
    for (std::size_t i = 0; i < last.size(); ++i) {
      reached[at(last[i])] = true;
      for (const Index child : children[at(last[i])]) {
        level.push_back(child);
        places.push_back(static_cast<Index>(i));
      }
    }
  }
  for (Index node = 0; node < size(); ++node)
    require<ValueError>(reached[at(node)], "forest: node {} is its own ancestor, or below one that is", node);
}

}  // namespace unroll::inline UNROLL_ISA
