#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <variant>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

namespace unroll::inline UNROLL_ISA {

/// One option of a command: its name, what it points to, and a line of help. A struct of options lists them once, in
///   static void fields(auto& o, auto&& f) { f("hidden", o.hidden, "width of the recurrent layers"); }
/// and the command line, and what a model file says of its training, follow from that.
struct Setting {
  std::string name;
  std::variant<Index*, double*, std::string*, bool*> value;
  std::string help;
};
using Settings = std::vector<Setting>;

template <class O>
void add_settings(Settings& to, O& options) {
  O::fields(options,
            [&](const char* name, auto& value, const char* help) { to.push_back({name, &value, help}); });
}

nlohmann::json to_json(const Settings& settings);
/// Throws FileError naming the file when one is missing or of another kind.
void from_json(const Settings& settings, const nlohmann::json& json, const std::string& file);

}  // namespace unroll::inline UNROLL_ISA
