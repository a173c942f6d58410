#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include <unroll/models/checkpoint.h>
#include <unroll/models/data/files.h>
#include <unroll/models/tasks/synthetic_task.h>

namespace unroll::inline UNROLL_ISA {
namespace {

/// How many sequences of `e` are right at every scored step: each class that is allowed there has a larger logit than
/// each that is not. What is not a number is not right.
Index count_right(const Var<>& logits, const Examples& e) {
  const View<const float> rows = values(contiguous(logits));
  const auto batch = static_cast<std::size_t>(e.batch());
  std::vector<bool> right(batch, true);
  for (std::size_t i = 0; i < e.classes.size(); ++i) {
    if (e.classes[i] < 0) continue;
    float least_allowed = std::numeric_limits<float>::infinity(), most_other = -least_allowed;
    for (Index k = 0; k < rows.cols; ++k) {
      const float x = rows.row(static_cast<Index>(i))[k];
      if (std::isnan(x)) right[i % batch] = false;
      if ((e.allowed[i] >> static_cast<unsigned>(k) & 1U) != 0U)
        least_allowed = std::min(least_allowed, x);
      else
        most_other = std::max(most_other, x);
    }
    if (!(least_allowed > most_other)) right[i % batch] = false;
  }
  return std::ranges::count(right, true);
}

/// How many steps of `e` are scored.
double count_scored(const Examples& e) {
  return e.classes.empty() ? static_cast<double>(e.numbers.size())
                           : static_cast<double>(std::ranges::count_if(e.classes, [](auto c) { return c >= 0; }));
}

/// What `train`, `eval`, `run` and `synthesize` do for a task that draws its own sequences. The command line trains it
/// by a command of its own, which can also be interrupted and resumed.
class SyntheticApplication : public Task {
 public:
  explicit SyntheticApplication(std::string name) : name_(std::move(name)) { o_.task = name_; }

  std::string name() const override { return name_; }
  std::string what() const override { return synthetic_task(name_).what; }
  std::string format() const override { return fmt::format("lines of {}", synthetic_task(name_).text->format); }
  Settings settings() override {
    Settings all = settings_of(o_);
    std::ranges::copy(running_settings(o_), std::back_inserter(all));
    return all;
  }

  bool train(const TaskData& data, const std::string& out, Report& report) override {
    require<ValueError>(data.data.empty() && data.valid.empty() && data.test.empty() && data.folds == 0,
                        "train: {} draws its own sequences, and reads no data", name_);
    o_.out = out;
    return train_synthetic(o_, report);
  }
  void evaluate(const std::string& model, const TaskData& data, Report& report) override {
    const TrainedSynthetic trained = TrainedSynthetic::open(model);
    BadLines bad(data.skip_bad);
    std::vector<Examples> sequences;
    for (const std::string& file : data.data) {
      LineReader lines(file);
      for (std::string_view line; lines.next(line);) try {
          sequences.push_back(trained.task.text->parse(line, true));
        } catch (const ValueError& error) { bad.report(lines.place(), error.what()); }
    }
    report.warn(bad.summary());
    require<FileError>(!sequences.empty(), "{}: there is nothing to read", data.data[0]);
    const SyntheticScore score = score_of(trained.model, trained.task, sequences);
    require<FileError>(std::isfinite(score.loss), "eval: {} is damaged, or overflows: its loss is {}", model,
                       score.loss);
    Fields fields{{"task", name_},
                  {"split", std::string("eval")},
                  {"examples", static_cast<std::int64_t>(sequences.size())},
                  {"loss", score.loss}};
    if (!trained.task.numbers) fields.emplace_back("share_right", score.share_right);
    report.result(fields);
  }
  Answers answers_of(const std::string& model, const std::string& out) override {
    require<ValueError>(out.empty(), "run: --out has no use: what a model of {} says is no file", name_);
    const auto trained = std::make_shared<const TrainedSynthetic>(TrainedSynthetic::open(model));
    return [trained](const std::string& line) {
      Tape<> tape = Tape<>::inference();
      const Var<> said = contiguous(trained->model(tape, trained->task.text->parse(line, false)));
      return trained->task.text->answer(values(said));
    };
  }
  void synthesize(const std::string& out, Index count, std::uint64_t seed) override {
    const SyntheticTask task = synthetic_task(name_, drawn_steps_);
    Rng rng(seed);
    std::ofstream file(out);
    for (Index i = 0; i < count; ++i) file << task.text->line(task.draw(rng, 1), 0) << '\n';
    file.close();
    require<FileError>(!file.fail(), "{} cannot be written", out);
  }
  Settings generator_settings() override {
    return {{"steps", &drawn_steps_, "length of the task; 0: as it is usually tried", range::count_or_none}};
  }

 private:
  std::string name_;
  SyntheticTraining o_;
  Index drawn_steps_ = 0;
};

}  // namespace

SyntheticScore score_of(const SyntheticModel& model, const SyntheticTask& task, std::span<const Examples> sequences) {
  SyntheticScore score;
  Tape<> tape = Tape<>::inference();
  double scored = 0;
  Index right = 0, count = 0;
  for (const Examples& e : sequences) {
    tape.rewind();
    const Var<> said = model(tape, e);
    score.loss += static_cast<double>(SyntheticModel::loss_of(said, e).item()) * count_scored(e);
    scored += count_scored(e);
    if (!task.numbers) right += count_right(said, e);
    count += e.batch();
  }
  score.loss /= scored;
  score.share_right = static_cast<double>(right) / static_cast<double>(count);
  score.solved = task.numbers ? score.loss <= task.solved_loss : score.share_right >= task.solved_share;
  return score;
}

bool is_synthetic(const std::string& task) {
  return std::ranges::find(synthetic_task_names(), task) != synthetic_task_names().end();
}

SyntheticTraining synthetic_training_of(const std::string& model_file) {
  const Safetensors file = Safetensors::read(model_file);
  const auto entry = [&](const char* name) {
    const auto found = file.metadata.find(name);
    return found == file.metadata.end() ? std::string() : found->second;
  };
  SyntheticTraining o;
  o.task = entry("task");
  require<FileError>(is_synthetic(o.task), "model: {} is of no synthetic task", model_file);
  from_json(settings_of(o), nlohmann::json::parse(entry("config"), nullptr, false), model_file);
  // The extents must be those of the arrays before memory is set aside for a model of them.
  try {
    check_options(o);
    const SyntheticTask task = synthetic_task(o.task, o.steps);
    const auto head = file.tensors.find("head/bias");
    // Wrappers stand in the path between the layer and the cell.
    const auto input_of = [&](Index layer) {
      const std::string begin = fmt::format("rnn/layers/{}/", layer);
      return std::ranges::find_if(file.tensors, [&](const auto& entry) {
        return entry.first.starts_with(begin) && entry.first.ends_with("input/weight");
      });
    };
    const auto input = input_of(0);
    require<FileError>(head != file.tensors.end() && head->second.shape == Shape{task.outputs},
                       "model: {} has another head than its task", model_file);
    require<FileError>(input != file.tensors.end() && input->second.shape.rank() == 2 &&
                           input->second.shape[0] == task.features && input->second.shape[1] >= o.hidden,
                       "model: {} says another width than its entries have", model_file);
    require<FileError>(input_of(o.layers - 1) != file.tensors.end(), "model: {} has fewer layers than it says",
                       model_file);
    const auto known = [](const std::vector<std::string>& names, const std::string& name) {
      return std::ranges::find(names, name) != names.end();
    };
    require<FileError>(known(cell_names(), o.cell), "model: {} has an unknown cell", model_file);
    require<FileError>(known(wrapper_names(), o.wrapper), "model: {} has an unknown wrapper", model_file);
  } catch (const ValueError& error) { throw FileError(fmt::format("model: {}: {}", model_file, error.what())); }
  return o;
}

TrainedSynthetic TrainedSynthetic::open(const std::string& model_file) {
  const SyntheticTraining options = synthetic_training_of(model_file);
  SyntheticTask task = synthetic_task(options.task, options.steps);
  Rng rng;
  TrainedSynthetic trained{task, SyntheticModel(task, options, rng)};
  load_trained(trained.model, model_file);
  (void)parameters(trained.model);  // gives them their names
  return trained;
}

std::unique_ptr<Task> synthetic_application(const std::string& name) {
  return std::make_unique<SyntheticApplication>(name);
}

}  // namespace unroll::inline UNROLL_ISA
