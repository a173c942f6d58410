#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include <unroll/models/checkpoint.h>
#include <unroll/models/fit.h>
#include <unroll/models/interrupt.h>
#include <unroll/models/output_file.h>
#include <unroll/models/tasks/synthetic_task.h>
#include <unroll/models/training_log.h>

namespace unroll::inline UNROLL_ISA {
namespace {

using nlohmann::json;

constexpr Index evaluate_every = 200, log_every = 50;
constexpr std::uint64_t held_out_seed = 0x5EED;

Fields result_of(const SyntheticTraining& o, const SyntheticTask& task, const SyntheticScore& score, Index updates) {
  Fields fields{{"task", task.name},
                {"cell", o.cell},
                {"steps", static_cast<std::int64_t>(task.steps)},
                {"loss", score.loss},
                {"baseline", task.baseline()}};
  if (!task.numbers) fields.emplace_back("share_right", score.share_right);
  fields.emplace_back("solved", std::string(score.solved ? "yes" : "no"));
  fields.emplace_back("updates", static_cast<std::int64_t>(updates));
  return fields;
}

std::string text_of(const SyntheticTask& task, const SyntheticScore& score) {
  return task.numbers ? fmt::format("error {:.5f}, without memory {:.5f}", score.loss, task.baseline())
                      : fmt::format("{:.4f} nats, without memory {:.4f}; {:.1f} % of sequences right throughout",
                                    score.loss, task.baseline(), 100 * score.share_right);
}

}  // namespace

SyntheticTrainer::SyntheticTrainer(const SyntheticTraining& options)
    : options_((check_options(options), options)),
      task_(synthetic_task(options.task, options.steps)),
      weights_(static_cast<std::uint64_t>(options.seed)),
      examples_(static_cast<std::uint64_t>(options.seed) + 1),
      model_(task_, options_, weights_),
      adam_(parameters(model_), {.rate = options.rate, .clip = options.clip}),
      shards_(options.shards, static_cast<int>(options.threads), static_cast<std::uint64_t>(options.seed)),
      length_(task_.learnable && options.start > 0 ? std::min(task_.steps, options.start) : task_.steps) {
  (void)synthetic_task(options.task, length_);  // throws where it is too short
}

double SyntheticTrainer::update() {
  const Index batch = options_.batch, count = std::min(batch, options_.shards);
  std::vector<Examples> parts;
  for (Index s = 0; s < count; ++s)
    parts.push_back(
        task_.draw_examples(examples_, length_, part_begin(batch, s + 1, count) - part_begin(batch, s, count)));
  const double loss = shards_.backward(count, [&](Tape<>& tape, Index s) {
    const Examples& part = parts[static_cast<std::size_t>(s)];
    tape.rewind();
    const Var<> of_part = model_.loss(tape, part);
    check_loss(of_part, updates_);
    return of_part * (static_cast<double>(part.batch()) / static_cast<double>(batch));
  });
  // Steps become smaller towards the end, so that what was learned settles.
  const CosineDecay decay{options_.rate, static_cast<double>(options_.updates), options_.rate / 10};
  adam_.set_rate(decay(static_cast<double>(updates_)));
  adam_.step(&shards_.workers());
  ++updates_;
  smoothed_ = at_length_++ == 0 ? loss : 0.95 * smoothed_ + 0.05 * loss;
  if (length_ < task_.steps) grow();
  return loss;
}

/// Half as long again when nine tenths of what can be learned at this length are (Zaremba and Sutskever 2014, section
/// 3.2). A memory that was found for short sequences needs little to last longer; over the whole length there is hardly
/// a gradient to find it by.
void SyntheticTrainer::grow() {
  constexpr Index least = 50;
  if (at_length_ < least || smoothed_ > 0.1 * synthetic_task(task_.name, length_).baseline()) return;
  length_ = std::min(task_.steps, length_ + (length_ + 1) / 2);
  at_length_ = 0;
}

SyntheticScore SyntheticTrainer::evaluate(Index sequences) const {
  Rng rng(held_out_seed);
  std::vector<Examples> drawn;
  for (Index done = 0; done < sequences; done += drawn.back().batch())
    drawn.push_back(task_.draw(rng, std::min<Index>(128, sequences - done)));
  const SyntheticScore score = score_of(model_, task_, drawn);
  require<Error>(std::isfinite(score.loss), "train: the loss is {} after update {}: is --rate {} too large?",
                 score.loss, updates_, options_.rate);
  return score;
}

SyntheticScore SyntheticTrainer::try_out() {
  const SyntheticScore score = evaluate(256);
  solved_ = score.solved && evaluate(1024).solved;
  return score;
}

void SyntheticTrainer::save(const std::string& path) {
  Checkpoint file;
  file.put_model(model_);
  file.put_optimizer(adam_);
  json noise;
  for (Index s = 0; s < shards_.count(); ++s) noise.push_back(shards_.tape(s).rng().position());
  SyntheticTraining options = options_;
  file.metadata = {{"format", "unroll"},
                   {"task", options.task},
                   {"config", to_json(settings_of(options)).dump()},
                   {"training", json{{"updates", updates_},
                                     {"length", length_},
                                     {"at_length", at_length_},
                                     {"smoothed", smoothed_},
                                     {"solved", solved_},
                                     {"examples", examples_.position()},
                                     {"noise", noise},
                                     {"optimizer_steps", adam_.steps()}}
                                    .dump()}};
  file.write(path);
}

void SyntheticTrainer::resume(const std::string& path) {
  load_trained(model_, path);
  const Checkpoint file = Checkpoint::read(path);
  try {
    const json at = json::parse(file.metadata.at("training"));
    const Index steps = at.at("optimizer_steps");
    examples_.seek(at.at("examples"));
    for (Index s = 0; s < shards_.count(); ++s)
      shards_.tape(s).rng().seek(at.at("noise").at(static_cast<std::size_t>(s)));
    updates_ = at.at("updates");
    length_ = at.at("length");
    at_length_ = at.at("at_length");
    smoothed_ = at.at("smoothed");
    solved_ = at.at("solved");
    require<ValueError>(steps >= 0 && updates_ >= 0 && updates_ <= options_.updates,
                        "{} updates, and {} of the optimizer, are not in 0 .. {}", updates_, steps, options_.updates);
    require<ValueError>(length_ >= 1 && length_ <= task_.steps, "a length of {} is not in 1 .. {}", length_,
                        task_.steps);
    file.get_optimizer(adam_, steps);
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

bool train_synthetic(const SyntheticTraining& options, Report& report) {
  check_running(options);
  check_model_output("train", options.out);
  SyntheticTrainer trainer(options);
  if (!options.resume.empty()) trainer.resume(options.resume);
  const SyntheticTask& task = trainer.task();
  report.say(fmt::format("{} of {} steps: {} with {} parameters, {} layers of {}, batch {}", task.name, task.steps,
                         options.cell, count_parameters(trainer.model()), options.layers, options.hidden,
                         options.batch));
  TrainingLog log(options.log, !options.resume.empty());
  const auto log_score = [&](const SyntheticScore& score) {
    log.scalar(trainer.updates(), "valid/loss", score.loss);
    if (!task.numbers) log.scalar(trainer.updates(), "valid/share_right", score.share_right);
  };
  const InterruptGuard guard;
  bool stopped = false, interrupted = false;
  const Index from = trainer.updates();
  Index length = trainer.length();
  while (trainer.updates() < options.updates && !trainer.solved() && !stopped) {
    trainer.update();
    report.progress(fmt::format("update {} of {}, {} steps  loss {:.5f}", trainer.updates(), options.updates,
                                trainer.length(), trainer.smoothed_loss()));
    if (trainer.updates() % log_every == 0) {
      log.scalar(trainer.updates(), "train/loss", trainer.smoothed_loss());
      log.scalar(trainer.updates(), "train/length", static_cast<double>(trainer.length()));
    }
    if (trainer.length() != length)
      report.say(fmt::format("update {}: {} steps from now on", trainer.updates(), length = trainer.length()));
    if (length == task.steps && trainer.updates() % evaluate_every == 0) {
      const SyntheticScore score = trainer.try_out();
      log_score(score);
      report.say(fmt::format("update {}: held out {}{}", trainer.updates(), text_of(task, score),
                             trainer.solved() ? ": solved" : ""));
    }
    interrupted = InterruptGuard::requested();
    stopped = interrupted || (options.max_steps > 0 && trainer.updates() - from == options.max_steps);
  }
  if (!options.out.empty()) {
    trainer.save(options.out);
    report.say("saved " + options.out);
  }
  if (stopped)
    report.say(fmt::format("stopped at update {} of {}; go on with --resume {}", trainer.updates(), options.updates,
                           options.out));
  const SyntheticScore score = trainer.evaluate(1024);
  log_score(score);
  report.result(result_of(options, task, score, trainer.updates()));
  return !interrupted;
}

}  // namespace unroll::inline UNROLL_ISA
