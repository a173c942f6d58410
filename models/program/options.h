#pragma once

#include <CLI/CLI.hpp>
#include <cmath>
#include <concepts>

#include <fmt/format.h>

#include <unroll/autograd/tensor/error.h>
#include <unroll/models/data/numbers.h>
#include <unroll/models/settings.h>

// Options as the program's commands have them.

namespace unroll {

/// What messages begin with: the name of a command of the program, be it of one of its parts.
inline std::string command_of(const CLI::App& part) {
  const CLI::App* command = &part;
  while (command->get_parent() != nullptr && command->get_parent()->get_parent() != nullptr)
    command = command->get_parent();
  return command->get_name();
}

/// An option --name that is a number in base ten, a whole one unless N is floating. When it is read it throws
/// ValueError for anything else, and for what is not in the range.
template <class N>
CLI::Option* add_number(CLI::App* command, const std::string& name, N& value, const std::string& help,
                        Range range = {}) {
  const auto read = [&value, name, range, command](const std::string& text) {
    const std::string_view digits = text;
    const auto number = number_of<N>(digits.substr(digits.starts_with('+') ? 1 : 0));
    bool good = number.has_value();
    if constexpr (std::floating_point<N>) good = good && std::isfinite(*number);
    require<ValueError>(good, "{}: --{} '{}' is no {}", command_of(*command), name, text,
                        std::floating_point<N>  ? "number that a double can be"
                        : std::is_unsigned_v<N> ? "whole number from 0 to 2^64 - 1"
                                                : "whole number of at most 63 bits");
    value = *number;
    check_range(command_of(*command).c_str(), name, static_cast<double>(value), range);
  };
  return command->add_option_function<std::string>("--" + name, read, help)
      ->type_name(std::floating_point<N> ? "FLOAT" : "INT")
      ->default_str(fmt::format("{}", value));
}

/// An option for each setting, with its range; a flag, which --no- takes back, for what is true or false.
void add_settings(CLI::App* command, const Settings& settings);
/// An option that is one or more files.
CLI::Option* add_files(CLI::App* command, const char* name, std::vector<std::string>& files, const char* help);

}  // namespace unroll
