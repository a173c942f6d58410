#pragma once

#include <cstdint>
#include <string>

#include <unroll/layers/inspect.h>
#include <unroll/models/plot.h>
#include <unroll/models/report.h>
#include <unroll/models/tasks/synthetic_task.h>

// The program's look inside a trained model, and the vanishing gradient as an experiment.

namespace unroll::inline UNROLL_ISA {

struct InspectOptions {
  std::string model = {};
  std::string data = {};           // a text, for a language model; synthetic tasks draw their own
  std::string csv = {}, svg = {};  // files to write
  Index steps = 100, batch = 8;
  int seeds = 4;
  std::uint64_t seed = 1;
};

/// Runs the model of a file over data, with the error of the last scored step, and reports how far back that reaches,
/// the norms of the recurrent Jacobians' products, and the gates.
void inspect_model(const InspectOptions& options, Report& report);

/// The same for a model of a synthetic task, on examples of it; of the options, batch, seeds and seed count.
Inspection inspect_synthetic(const SyntheticModel& model, const SyntheticTask& task, const InspectOptions& options);

/// The plots of an inspection: errors, Jacobians, and the gates' histograms.
std::vector<Plot> plots_of(const Inspection& inspection);

struct VanishingOptions {
  std::vector<Index> steps{50, 100, 200, 400};
  std::vector<std::string> cells{"rnn", "gru", "lstm"};
  Index hidden = 64;
  double seconds = 240;  // about how long to train all
  std::uint64_t seed = 1;
  std::string out = "vanishing.svg";
};

/// Trains each cell on the adding problem, longer and longer, each from where it stood at the length before, and plots
/// how far back the error reaches. Returns false when it was interrupted.
bool show_vanishing(const VanishingOptions& options, Report& report);

}  // namespace unroll::inline UNROLL_ISA
