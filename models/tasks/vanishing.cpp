#include <algorithm>
#include <chrono>
#include <cmath>

#include <unroll/models/interrupt.h>
#include <unroll/models/output_file.h>
#include <unroll/models/tasks/inspect_task.h>
#include <unroll/models/tasks/synthetic_task.h>

namespace unroll::inline UNROLL_ISA {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

bool show_vanishing(const VanishingOptions& o, Report& report) {
  require<ValueError>(o.seconds > 0 && o.hidden > 0, "vanishing: --seconds and --hidden must be positive");
  check_output("vanishing", o.out);
  check_plotting(o.out);
  report.say("The adding problem: add the two marked numbers of a sequence. Always saying 1 has the error 1/6.");
  const InterruptGuard guard;
  std::vector<Plot> plots;
  for (const Index steps : o.steps)
    plots.push_back({fmt::format("adding problem of {} steps", steps),
                     "steps back from the answer",
                     "norm of dL/dh, over that at the answer",
                     true,
                     1e-10,
                     {}});
  // Longer sequences take longer: each length has time in proportion.
  double total = 0;
  for (const Index steps : o.steps) total += static_cast<double>(steps);
  for (const std::string& cell : o.cells) {
    SyntheticTraining training{
        .task = "adding", .cell = cell, .hidden = o.hidden, .updates = 1 << 20, .seed = static_cast<Index>(o.seed)};
    std::unique_ptr<SyntheticTrainer> before;
    for (std::size_t i = 0; i < o.steps.size(); ++i) {
      training.steps = o.steps[i];
      auto trainer = std::make_unique<SyntheticTrainer>(training);
      if (before != nullptr) trainer->start_from(before->model());
      const double seconds = o.seconds / static_cast<double>(o.cells.size()) * static_cast<double>(o.steps[i]) / total;
      const auto start = Clock::now();
      SyntheticScore score;
      for (bool done = false; !done;) {
        const double loss = trainer->update();
        const bool late = seconds_since(start) > seconds;
        if (late || trainer->updates() % 100 == 0) score = trainer->evaluate(256);
        done = late || score.solved;
        if (InterruptGuard::requested()) return false;
        report.progress(
            fmt::format("{} of {} steps  update {}  error {:.4f}", cell, o.steps[i], trainer->updates(), loss));
      }
      const Inspection found = inspect_synthetic(trainer->model(), trainer->task(), {.batch = 32});
      const LayerInspection& layer = found.layers.front();
      const bool whole = layer.memory() + 1 == static_cast<Index>(layer.error.size());
      report.result({{"cell", cell},
                     {"steps", static_cast<std::int64_t>(o.steps[i])},
                     {"error", score.loss},
                     {"solved", std::string(score.solved ? "yes" : "no")},
                     {"updates", static_cast<std::int64_t>(trainer->updates())},
                     {"effective_memory", static_cast<std::int64_t>(layer.memory())},
                     {"first_to_last_gradient", layer.error.back() / layer.error.front()}});
      PlotLine line{fmt::format("{}: error {:.4f}, memory {}{} steps", cell, score.loss, whole ? "at least " : "",
                                layer.memory()),
                    layer.error};
      for (double& y : line.ys) y /= layer.error.front();
      plots[i].lines.push_back(std::move(line));
      before = std::move(trainer);
    }
  }
  write_svg(o.out, plots);
  report.say(fmt::format("Each length goes on from what was learned at the one before. The picture: {}", o.out));
  return true;
}

}  // namespace unroll::inline UNROLL_ISA
