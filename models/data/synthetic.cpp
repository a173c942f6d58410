#include <unroll/models/data/synthetic.h>

#include <fmt/ranges.h>

#include <array>

#include <unroll/models/data/synthetic_makers.h>

namespace unroll::inline UNROLL_ISA {
namespace {

struct Entry {
  const char* name;
  Index usual_steps, least_steps;
  SyntheticTask (*make)();
};

constexpr std::array entries{Entry{"adding", 100, 2, detail::adding},
                             Entry{"copy", 50, 1, detail::copy},
                             Entry{"parity", 50, 1, detail::parity},
                             Entry{"reber", 30, 5, detail::reber},
                             Entry{"embedded-reber", 30, 9, detail::embedded_reber},
                             Entry{"sine", 100, 4, detail::sine}};

}  // namespace

const std::vector<std::string>& synthetic_task_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Entry& entry : entries) list.emplace_back(entry.name);
    return list;
  }();
  return names;
}

SyntheticTask synthetic_task(const std::string& name, Index steps) {
  constexpr Index most = 1 << 20;
  for (const Entry& entry : entries) {
    if (entry.name != name) continue;
    if (steps == 0) steps = entry.usual_steps;
    require<ValueError>(steps >= entry.least_steps && steps <= most, "{}: {} steps are not in {} .. {}", name, steps,
                        entry.least_steps, most);
    SyntheticTask task = entry.make();
    task.name = name;
    task.steps = steps;
    return task;
  }
  throw ValueError(fmt::format("there is no task \"{}\": {}", name, fmt::join(synthetic_task_names(), ", ")));
}

}  // namespace unroll::inline UNROLL_ISA
