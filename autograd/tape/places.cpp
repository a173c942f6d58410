#include <unroll/autograd/tape/places.h>

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

namespace unroll::inline UNROLL_ISA {
namespace {

/// A path without its last `inside` names.
std::string owner_of(const std::string& path, int inside) {
  auto end = path.size();
  for (int i = 0; i < inside && end != std::string::npos; ++i) end = end == 0 ? end : path.rfind('/', end - 1);
  return end == std::string::npos ? "" : path.substr(0, end);
}

}  // namespace

std::string to_string(const Place& place) {
  const std::string owner = place.parameter_path == nullptr ? "" : owner_of(*place.parameter_path, place.inside);
  if (owner.empty() && place.step < 0) return "";
  if (owner.empty()) return fmt::format("in step {}", place.step);
  return place.step < 0 ? "in " + owner : fmt::format("in {}, step {}", owner, place.step);
}

const Place& Places::of(std::uint32_t node) const {
  return std::prev(std::ranges::upper_bound(entries_, node, {}, &Entry::first))->place;
}

}  // namespace unroll::inline UNROLL_ISA
