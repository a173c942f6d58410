#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include <unroll/models/report.h>

namespace unroll {

/// Adds the commands of the applications: `train TASK`, `eval`, `run`, `synthesize`, `plot`. `add` makes a command with
/// the options that all have; `set` says what is to be done when it was given, which returns the exit code.
void add_task_commands(CLI::App& program, CLI::App& train,
                       const std::function<CLI::App*(CLI::App*, const char* name, const std::string& what)>& add,
                       const std::function<void(std::function<int(Report&)>)>& set);

}  // namespace unroll
