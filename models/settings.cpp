#include <unroll/models/settings.h>

#include <nlohmann/json.hpp>

namespace unroll::inline UNROLL_ISA {

nlohmann::json to_json(const Settings& settings) {
  nlohmann::json json = nlohmann::json::object();
  for (const Setting& s : settings) std::visit([&](const auto* value) { json[s.name] = *value; }, s.value);
  return json;
}

void from_json(const Settings& settings, const nlohmann::json& json, const std::string& file) {
  for (const Setting& s : settings) try {
      std::visit([&](auto* value) { json.at(s.name).get_to(*value); }, s.value);
    } catch (const nlohmann::json::exception& error) {
      throw FileError(fmt::format("{} does not say what its option '{}' was: {}", file, s.name, error.what()));
    }
}

}  // namespace unroll::inline UNROLL_ISA
