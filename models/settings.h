#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <variant>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

namespace unroll::inline UNROLL_ISA {

/// The least and the largest number that an option may be.
struct Range {
  double least = std::numeric_limits<double>::lowest(), most = std::numeric_limits<double>::max();
};
/// Those that options of many tasks have.
namespace range {
inline constexpr Range width{1, 1 << 16}, depth{1, 64}, count{1, 1 << 20}, count_or_none{0, 1 << 20}, batch{1, 1 << 16},
    rate{1e-12, 1e6}, dropped{0, 0.99}, share{0, 1}, threads{1, 1024}, shards{1, 64}, not_negative{0};
}  // namespace range

/// One option of a command: its name, what it points to, a line of help, and what it may be. A struct of options lists
/// them once, in
///   static void fields(auto& o, auto&& f) { f("hidden", o.hidden, "width of the recurrent layers", range::width); }
/// and the command line, its checks, and what a model file says of its training, follow from that.
struct Setting {
  std::string name;
  std::variant<Index*, double*, std::string*, bool*> value;
  std::string help;
  Range range;
  std::vector<std::string> names = {};  // of a text that is one of these
};
using Settings = std::vector<Setting>;

template <class O>
void add_settings(Settings& to, O& options) {
  O::fields(options, [&](const char* name, auto& value, const char* help, Range range = {}) {
    to.push_back({name, &value, help, range});
  });
}
template <class O>
Settings settings_of(O& options) {
  Settings all;
  add_settings(all, options);
  return all;
}

/// The options of a training that change no bit of its result, and of which a model file says nothing.
template <class O>
Settings running_settings(O& options) {
  return {{"threads", &options.threads, "threads; the result does not depend on them", range::threads},
          {"log", &options.log, "folder for curves, as CSV and for TensorBoard", {}}};
}

/// Throws ValueError, such as "train: --hidden 0 is not in 1 .. 65536", for a number outside its range.
void check_range(const char* command, const std::string& name, double value, Range range);
/// The same for all options of a training.
void check(const Settings& settings);
template <class O>
void check_options(O options) {
  check(settings_of(options));
}
template <class O>
void check_running(O options) {
  check(running_settings(options));
}

nlohmann::json to_json(const Settings& settings);
/// Throws FileError naming the file when one is missing or of another kind.
void from_json(const Settings& settings, const nlohmann::json& json, const std::string& file);

}  // namespace unroll::inline UNROLL_ISA
