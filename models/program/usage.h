#pragma once

#include <CLI/CLI.hpp>

namespace unroll {

/// What is wrong with the words of a command line that could not be understood, where one of them is unknown or a
/// command is missing: names it, and what there is. Else nothing.
std::string wrong_usage(const CLI::App& program);

}  // namespace unroll
