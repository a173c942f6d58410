#include <unroll/models/tasks/inspect_task.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <unroll/models/output_file.h>
#include <unroll/models/tasks/language_file.h>
#include <unroll/models/tasks/language_reading.h>
#include <unroll/models/tasks/synthetic_task.h>
#include <unroll/models/tasks/tasks.h>

namespace unroll::inline UNROLL_ISA {
namespace {

/// The loss of the last step of a text, so that what arrives at earlier ones came through the recurrence.
Inspection inspect_language(const InspectOptions& o) {
  const LanguageFile file = LanguageFile::read(o.model);
  require<ValueError>(!o.data.empty(), "inspect: --data FILE is needed: {} is a language model", o.model);
  BadLines bad;
  const Text text = Text::of(read_texts({o.data}, bad), file.vocabulary, o.data);
  const auto windows = text.windows({.batch = o.batch, .steps = o.steps});
  Window window;
  windows.fill(0, window);
  LanguageShape shape = file.shape();
  shape.dropout = shape.dropout_input = shape.dropout_recurrent = 0;
  Rng rng;
  LanguageModel model(shape, rng);
  load_trained(model, o.model);
  (void)parameters(model);  // gives them their names
  Tape<> tape;
  Inspector inspector(tape);
  const auto [hs, last] = model.read(tape, window.inputs, model.initial(tape, o.batch));
  const Index time = hs.shape()[0];
  const std::span<const std::int32_t> answers(window.targets.ids);
  const Var<> loss = cross_entropy(model.logits(Var<>(hs)[time - 1]), answers.last(static_cast<std::size_t>(o.batch)));
  return inspector.look(loss, {.seeds = o.seeds, .seed = o.seed});
}

/// Targets of the last scored step of each sequence alone.
void keep_last(Examples& e) {
  const Index batch = e.batch(), time = e.time();
  if (e.classes.empty()) {
    Tensor<float> last = make_tensor<float>({1, batch, 1}, 0.0F);
    for (Index b = 0; b < batch; ++b) last(0, b, 0) = e.numbers(time - 1 - e.first, b, 0);
    e.numbers = std::move(last);
    e.first = time - 1;
    return;
  }
  for (std::size_t i = 0; i < e.classes.size(); ++i) {
    const auto row = i % static_cast<std::size_t>(batch);
    const Index t = e.first + static_cast<Index>(i) / batch;
    if (t + 1 != (e.lengths.empty() ? time : e.lengths[row])) e.classes[i] = -1;
  }
}

}  // namespace

Inspection inspect_synthetic(const SyntheticModel& model, const SyntheticTask& task, const InspectOptions& o) {
  Rng rng(o.seed);
  Examples e = task.draw(rng, o.batch);
  keep_last(e);
  Tape<> tape;
  Inspector inspector(tape);
  return inspector.look(model.loss(tape, e), {.seeds = o.seeds, .seed = o.seed});
}

std::vector<Plot> plots_of(const Inspection& inspection) {
  Plot error{"Error of the last step", "steps back", "norm of dL/dh", true, 1e-12, {}};
  Plot jacobian{"Product of recurrent Jacobians", "steps back", "norm over that of carrying", true, 1e-12, {}};
  std::vector<Plot> plots;
  for (const LayerInspection& layer : inspection.layers) {
    error.lines.push_back({layer.name, layer.error});
    jacobian.lines.push_back({layer.name, layer.jacobian});
  }
  plots.push_back(std::move(error));
  plots.push_back(std::move(jacobian));
  constexpr auto bins = static_cast<double>(GateValues::bins);
  for (const LayerInspection& layer : inspection.layers) {
    if (layer.gates.empty()) continue;
    Plot gates{"Gates of " + layer.name, "value", "share of values", false, 0, {}};
    for (const GateValues& gate : layer.gates) {
      PlotLine line{fmt::format("{} ({:.0f} % < 0.1, {:.0f} % > 0.9)", gate.name, 100 * gate.share_closed(),
                                100 * gate.share_open()),
                    {},
                    0.5 / bins,
                    1 / bins};
      for (const std::int64_t n : gate.histogram)
        line.ys.push_back(static_cast<double>(n) / static_cast<double>(std::max<std::int64_t>(1, gate.count)));
      gates.lines.push_back(std::move(line));
    }
    plots.push_back(std::move(gates));
  }
  return plots;
}

void inspect_model(const InspectOptions& o, Report& report) {
  check_output("inspect", o.csv, std::array{o.model, o.data});
  check_output("inspect", o.svg, std::array{o.model, o.data});
  require<ValueError>(o.csv.empty() || std::filesystem::path(o.csv).lexically_normal() !=
                                           std::filesystem::path(o.svg).lexically_normal(),
                      "inspect: --csv and --svg are the same file, {}", o.csv);
  if (!o.svg.empty()) check_plotting(o.svg);
  Inspection found;
  if (is_synthetic(task_name_of(o.model))) {
    require<ValueError>(o.data.empty(), "inspect: {} is of a task that draws its own data; --data has no use", o.model);
    const TrainedSynthetic trained = TrainedSynthetic::open(o.model);
    found = inspect_synthetic(trained.model, trained.task, o);
  } else {
    found = inspect_language(o);
  }
  for (const LayerInspection& layer : found.layers) {
    Fields fields{{"layer", layer.name},
                  {"steps", static_cast<std::int64_t>(layer.error.size())},
                  {"effective_memory", static_cast<std::int64_t>(layer.memory())},
                  {"error_first_to_last", layer.error.back() / layer.error.front()},
                  {"jacobian_first_to_last", layer.jacobian.back()}};
    for (const GateValues& gate : layer.gates) {
      fields.emplace_back(gate.name + "_closed", gate.share_closed());
      fields.emplace_back(gate.name + "_open", gate.share_open());
    }
    report.result(fields);
  }
  report.say(found.table());
  if (!o.csv.empty()) {
    std::ofstream out(o.csv);
    out << found.csv();
    out.close();
    require<FileError>(!out.fail(), "inspect: {} could not be written", o.csv);
    report.say("saved " + o.csv);
  }
  if (!o.svg.empty()) {
    write_svg(o.svg, plots_of(found));
    report.say("saved " + o.svg);
  }
}

}  // namespace unroll::inline UNROLL_ISA
