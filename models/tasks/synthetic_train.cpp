#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include <unroll/models/checkpoint.h>
#include <unroll/models/interrupt.h>
#include <unroll/models/tasks/output_file.h>
#include <unroll/models/tasks/synthetic_task.h>

namespace unroll::inline UNROLL_ISA {
namespace {

using nlohmann::json;

constexpr Index evaluate_every = 200;
constexpr std::uint64_t held_out_seed = 0x5EED;

json to_json(SyntheticTraining o) {
  json all = to_json(settings_of(o));
  all["task"] = o.task;
  return all;
}

/// How many sequences of `e` are right at every scored step: each class that is allowed there has a larger logit than
/// each that is not.
Index count_right(const Var<>& logits, const Examples& e) {
  const View<const float> rows = values(contiguous(logits));
  const auto batch = static_cast<std::size_t>(e.batch());
  std::vector<bool> right(batch, true);
  for (std::size_t i = 0; i < e.classes.size(); ++i) {
    if (e.classes[i] < 0) continue;
    float least_allowed = std::numeric_limits<float>::infinity(), most_other = -least_allowed;
    for (Index k = 0; k < rows.cols; ++k) {
      const float x = rows.row(static_cast<Index>(i))[k];
      if ((e.allowed[i] >> static_cast<unsigned>(k) & 1U) != 0U)
        least_allowed = std::min(least_allowed, x);
      else
        most_other = std::max(most_other, x);
    }
    if (!(least_allowed > most_other)) right[i % batch] = false;
  }
  return std::ranges::count(right, true);
}

Fields result_of(const SyntheticTraining& o, const SyntheticTask& task, const SyntheticScore& score, Index updates) {
  Fields fields{{"task", task.name},
                {"cell", o.cell},
                {"steps", static_cast<std::int64_t>(task.steps)},
                {"loss", score.loss},
                {"baseline", task.baseline}};
  if (!task.numbers) fields.emplace_back("share_right", score.share_right);
  fields.emplace_back("solved", std::string(score.solved ? "yes" : "no"));
  fields.emplace_back("updates", static_cast<std::int64_t>(updates));
  return fields;
}

std::string text_of(const SyntheticTask& task, const SyntheticScore& score) {
  return task.numbers ? fmt::format("error {:.5f}, without memory {:.5f}", score.loss, task.baseline)
                      : fmt::format("{:.4f} nats, without memory {:.4f}; {:.1f} % of sequences right throughout",
                                    score.loss, task.baseline, 100 * score.share_right);
}

}  // namespace

SyntheticTrainer::SyntheticTrainer(const SyntheticTraining& options)
    : options_((check_options(options), options)),
      task_(synthetic_task(options.task, options.steps)),
      weights_(static_cast<std::uint64_t>(options.seed)),
      examples_(static_cast<std::uint64_t>(options.seed) + 1),
      model_(task_, options_, weights_),
      adam_(parameters(model_), {.rate = options.rate, .clip = options.clip}),
      length_(task_.learnable && options.start > 0 ? std::min(task_.steps, options.start) : task_.steps) {
  (void)synthetic_task(options.task, length_);  // throws where it is too short
}

double SyntheticTrainer::update() {
  const Examples e = task_.draw_examples(examples_, length_, options_.batch);
  tape_.rewind();
  const Var<> loss = model_.loss(tape_, e);
  const auto value = static_cast<double>(loss.item());
  if (!std::isfinite(value)) {
    const auto where = tape_.find_nonfinite();
    throw Error(fmt::format("train: the loss is {} at update {}: {}", value, updates_, where ? where->message() : ""));
  }
  tape_.backward(loss);
  // Steps become smaller towards the end, so that what was learned settles.
  const CosineDecay decay{options_.rate, static_cast<double>(options_.updates), options_.rate / 10};
  adam_.set_rate(decay(static_cast<double>(updates_)));
  adam_.step();
  ++updates_;
  if (length_ < task_.steps) grow(value);
  return value;
}

/// Half as long again when nine tenths of what can be learned at this length are (Zaremba and Sutskever 2014, section
/// 3.2). A memory that was found for short sequences needs little to last longer; over the whole length there is hardly
/// a gradient to find it by.
void SyntheticTrainer::grow(double loss) {
  constexpr Index least = 50;
  smoothed_ = at_length_ == 0 ? loss : 0.95 * smoothed_ + 0.05 * loss;
  if (++at_length_ < least || smoothed_ > 0.1 * synthetic_task(task_.name, length_).baseline) return;
  length_ = std::min(task_.steps, length_ + (length_ + 1) / 2);
  at_length_ = 0;
}

SyntheticScore SyntheticTrainer::evaluate(Index sequences) const {
  Rng rng(held_out_seed);
  SyntheticScore score;
  Tape<> tape = Tape<>::inference();
  Index right = 0;
  for (Index done = 0; done < sequences;) {
    const Index batch = std::min<Index>(128, sequences - done);
    const Examples e = task_.draw(rng, batch);
    tape.rewind();
    const Var<> said = model_(tape, e);
    score.loss += static_cast<double>(SyntheticModel::loss_of(said, e).item()) * static_cast<double>(batch) /
                  static_cast<double>(sequences);
    if (!task_.numbers) right += count_right(said, e);
    done += batch;
  }
  score.share_right = static_cast<double>(right) / static_cast<double>(sequences);
  score.solved = task_.numbers ? score.loss <= task_.solved_loss : score.share_right >= task_.solved_share;
  return score;
}

void SyntheticTrainer::save(const std::string& path) const {
  Checkpoint file;
  file.put_model(model_);
  file.put_optimizer(adam_);
  file.metadata = {{"format", "unroll"},
                   {"config", to_json(options_).dump()},
                   {"training", json{{"updates", updates_},
                                     {"length", length_},
                                     {"at_length", at_length_},
                                     {"smoothed", smoothed_},
                                     {"examples", examples_.position()},
                                     {"optimizer_steps", adam_.steps()}}
                                    .dump()}};
  file.write(path);
}

void SyntheticTrainer::resume(const std::string& path) {
  load(model_, path);
  const Checkpoint file = Checkpoint::read(path);
  try {
    const json at = json::parse(file.metadata.at("training"));
    file.get_optimizer(adam_, at.at("optimizer_steps"));
    examples_.seek(at.at("examples"));
    updates_ = at.at("updates");
    length_ = at.at("length");
    at_length_ = at.at("at_length");
    smoothed_ = at.at("smoothed");
  } catch (const std::exception& error) {
    throw FileError(fmt::format("resume: {} does not say where training stood: {}", path, error.what()));
  }
}

void SyntheticTrainer::start_from(const SyntheticModel& model) {
  std::vector<const Parameter<float>*> from;
  for_each_parameter(model, [&](const std::string&, const Parameter<float>& p) { from.push_back(&p); });
  std::size_t i = 0;
  for_each_parameter(model_, [&](const std::string& path, Parameter<float>& p) {
    require<ShapeError>(p.shape() == from.at(i)->shape(), "start_from: {} has another shape", path);
    p.edit() = from[i++]->value();
  });
}

bool is_synthetic(const std::string& model_file) {
  const Safetensors file = Safetensors::read(model_file);
  const auto config = file.metadata.find("config");
  if (config == file.metadata.end()) return false;
  const json all = json::parse(config->second, nullptr, false);
  const auto& names = synthetic_task_names();
  return all.is_object() && all.contains("task") && all["task"].is_string() &&
         std::ranges::find(names, all["task"].get<std::string>()) != names.end();
}

SyntheticTraining synthetic_training_of(const std::string& model_file) {
  require<FileError>(is_synthetic(model_file), "model: {} is of no synthetic task", model_file);
  const Safetensors file = Safetensors::read(model_file);
  const json all = json::parse(file.metadata.at("config"));
  SyntheticTraining o;
  o.task = all.at("task");
  from_json(settings_of(o), all, model_file);
  // The extents must be those of the arrays before memory is set aside for a model of them.
  try {
    check_options(o);
    const SyntheticTask task = synthetic_task(o.task, o.steps);
    const auto head = file.tensors.find("head/bias");
    const auto input = file.tensors.find("rnn/layers/0/cell/input/weight");
    require<FileError>(head != file.tensors.end() && head->second.shape == Shape{task.outputs},
                       "model: {} has another head than its task", model_file);
    require<FileError>(input != file.tensors.end() && input->second.shape.rank() == 2 &&
                           input->second.shape[0] == task.features && input->second.shape[1] >= o.hidden,
                       "model: {} says another width than its entries have", model_file);
    require<FileError>(file.tensors.contains(fmt::format("rnn/layers/{}/cell/input/weight", o.layers - 1)),
                       "model: {} has fewer layers than it says", model_file);
    const auto& cells = cell_names();
    require<FileError>(std::ranges::find(cells, o.cell) != cells.end(), "model: {} has an unknown cell", model_file);
  } catch (const ValueError& error) { throw FileError(fmt::format("model: {}: {}", model_file, error.what())); }
  return o;
}

bool train_synthetic(const SyntheticTraining& options, Report& report) {
  check_output("train", options.out);
  SyntheticTrainer trainer(options);
  if (!options.resume.empty()) trainer.resume(options.resume);
  const SyntheticTask& task = trainer.task();
  report.say(fmt::format("{} of {} steps: {} with {} parameters, {} layers of {}, batch {}", task.name, task.steps,
                         options.cell, count_parameters(trainer.model()), options.layers, options.hidden,
                         options.batch));
  const InterruptGuard guard;
  bool stopped = false, interrupted = false, solved = false;
  double smoothed = 0;
  const Index from = trainer.updates();
  Index length = trainer.length();
  while (trainer.updates() < options.updates && !solved && !stopped) {
    const double loss = trainer.update();
    const Index taken = trainer.updates() - from;
    smoothed = taken == 1 ? loss : 0.99 * smoothed + 0.01 * loss;
    report.progress(fmt::format("update {} of {}, {} steps  loss {:.5f}", trainer.updates(), options.updates,
                                trainer.length(), smoothed));
    if (trainer.length() != length)
      report.say(fmt::format("update {}: {} steps from now on", trainer.updates(), length = trainer.length()));
    if (length == task.steps && trainer.updates() % evaluate_every == 0) {
      const SyntheticScore score = trainer.evaluate(256);
      solved = score.solved && trainer.evaluate(1024).solved;
      report.say(
          fmt::format("update {}: held out {}{}", trainer.updates(), text_of(task, score), solved ? ": solved" : ""));
    }
    interrupted = InterruptGuard::requested();
    stopped = interrupted || (options.max_steps > 0 && taken == options.max_steps);
  }
  if (!options.out.empty()) {
    trainer.save(options.out);
    report.say("saved " + options.out);
  }
  if (stopped)
    report.say(fmt::format("stopped at update {} of {}; go on with --resume {}", trainer.updates(), options.updates,
                           options.out));
  report.result(result_of(options, task, trainer.evaluate(1024), trainer.updates()));
  return !interrupted;
}

}  // namespace unroll::inline UNROLL_ISA
