#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

namespace unroll::inline UNROLL_ISA {

/// Where in the model a node was recorded: the path of a parameter, how many names of it lie inside the layer that was
/// running, and the time step.
struct Place {
  const std::string* parameter_path = nullptr;
  int inside = 1;
  Index step = -1;
};

/// Such as "in encoder/cell, step 7"; empty if nothing is known.
std::string to_string(const Place& place);

/// The places of all nodes: each holds from a node on.
class Places {
 public:
  void clear() { entries_.assign(1, {}); }
  const Place& current() const { return entries_.back().place; }
  const Place& of(std::uint32_t node) const;
  /// Nodes from `first` on are recorded there.
  void enter(const Place& place, std::uint32_t first) { entries_.push_back({place, first}); }

 private:
  struct Entry {
    Place place;
    std::uint32_t first = 0;
  };
  std::vector<Entry> entries_{1};
};

}  // namespace unroll::inline UNROLL_ISA
