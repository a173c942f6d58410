#include <unroll/models/settings.h>

#include <nlohmann/json.hpp>

namespace unroll::inline UNROLL_ISA {

void check_range(const char* command, const std::string& name, double value, Range range) {
  if (value >= range.least && value <= range.most) return;
  const bool bounded = range.most < Range{}.most;
  throw ValueError(fmt::format(
      "{}: --{} {} is not {}", command, name, value,
      bounded ? fmt::format("in {} .. {}", range.least, range.most) : fmt::format("at least {}", range.least)));
}

void check(const Settings& settings) {
  for (const Setting& s : settings) {
    if (const auto* whole = std::get_if<Index*>(&s.value))
      check_range("train", s.name, static_cast<double>(**whole), s.range);
    if (const auto* real = std::get_if<double*>(&s.value)) check_range("train", s.name, **real, s.range);
  }
}

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
