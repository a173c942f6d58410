#include <chrono>
#include <cmath>
#include <optional>
#include <variant>

#include <fmt/ranges.h>

#include <unroll/models/fit.h>
#include <unroll/models/interrupt.h>
#include <unroll/models/metrics/likelihood.h>
#include <unroll/models/ngram.h>
#include <unroll/models/output_file.h>
#include <unroll/models/tasks/language_file.h>
#include <unroll/models/tasks/language_reading.h>
#include <unroll/models/training_log.h>
#include <unroll/optim/optim.h>

namespace unroll::inline UNROLL_ISA {
namespace {

using Clock = std::chrono::steady_clock;

/// Nats as people who model this kind of text read them.
std::string quality(double nats, bool words) {
  return words ? fmt::format("perplexity {:.2f}", perplexity(nats))
               : fmt::format("{:.4f} bits per character", bits_from_nats(nats));
}

/// The rows of the batch that one tape reads.
struct Lanes {
  LanguageModel::State state;
  Tokens inputs, targets;
};

using AnyOptimizer = std::variant<Adam<float>, SGD<float>>;

AnyOptimizer optimizer_for(const LanguageTraining& o, std::vector<Parameter<float>*> parameters) {
  if (o.optimizer == "sgd") return SGD<float>(std::move(parameters), {.rate = o.rate, .clip = o.clip});
  return Adam<float>(std::move(parameters), {.rate = o.rate, .clip = o.clip});
}

class Training {
  using Model = LanguageModel;

 public:
  Training(const LanguageTraining& options, const Text& train, const Text& valid, Report& report)
      : o_(options),
        train_(train),
        valid_(valid),
        report_(report),
        rng_(static_cast<std::uint64_t>(options.seed)),
        model_(shape_of(options, train.vocabulary()), rng_),
        optimizer_(optimizer_for(options, parameters(model_))),
        shards_(options.shards, static_cast<int>(options.threads), static_cast<std::uint64_t>(options.seed)),
        lanes_(static_cast<std::size_t>(options.shards)) {
    if (o_.init > 0)
      for (Parameter<>* p : parameters(model_)) p->edit() = init::uniform<float>(p->shape(), o_.init, rng_);
  }

  /// `at` is what save() wrote beside the arrays.
  void resume(const std::string& path, const nlohmann::json& at) {
    try {
      require<FileError>(at.at("fingerprint") == fingerprint(train_.ids()), "resume: {} was not trained on {}", path,
                         train_.name());
      load_trained(model_, path);
      const Checkpoint file = Checkpoint::read(path);
      const Index most = std::max(o_.epochs, most_timed_epochs), per_epoch = windows().count();
      const auto whole = [&](const char* name, Index largest) {
        require<ValueError>(at.at(name).is_number_integer(), "'{}' is no whole number", name);
        const Index number = at.at(name);
        require<ValueError>(number >= 0 && number <= largest, "{} {} is not in 0 .. {}", name, number, largest);
        return number;
      };
      epoch_ = whole("epoch", most);
      window_ = whole("window", per_epoch);
      total_ = whole("total", most * per_epoch);
      step_ = whole("step", total_);
      require<ValueError>(step_ == epoch_ * per_epoch + window_, "step {} is not window {} of {} in epoch {}", step_,
                          window_, per_epoch, epoch_);
      const Index steps = whole("optimizer_steps", step_);
      ended_ = at.at("ended");
      smoothed_ = at.value("smoothed", 0.0);
      if (at.contains("best")) {
        best_nats_ = at.at("best");
        best_epoch_ = whole("best_epoch", epoch_);
        best_ = file.get_best<float>(model_);
      }
      std::visit(
          [&](auto& optimizer) {
            optimizer.set_rate(at.at("rate"));
            file.get_optimizer(optimizer, steps);
          },
          optimizer_);
      for (Index s = 0; s < o_.shards; ++s) {
        shards_.tape(s).rng().seek(at.at("noise").at(static_cast<std::size_t>(s)));
        begin(s);
        file.get_state(fmt::format("state/{}", s), lanes(s).state);
      }
    } catch (const FileError&) { throw; } catch (const std::exception& error) {
      throw FileError(fmt::format("resume: {} does not say where training stood: {}", path, error.what()));
    }
    resumed_ = true;
  }

  /// Returns false if interrupted.
  bool run() {
    const Windows windows = this->windows();
    const Index per_epoch = windows.count();
    if (!resumed_) total_ = o_.epochs * per_epoch;
    log_.emplace(o_.log, resumed_);
    InterruptGuard guard;
    start_ = Clock::now();
    for (; !ended_; ++epoch_, window_ = 0) {
      if (window_ == 0) begin_epoch();
      for (; window_ < per_epoch && step_ < total_;) {
        windows.fill(window_, buffer_);
        train_step(buffer_);
        ++window_;
        ++step_;
        if (o_.seconds > 0 && taken_ == calibration_steps) fit_to_time(per_epoch);
        const bool interrupted = InterruptGuard::requested();
        if (interrupted || (o_.max_steps > 0 && taken_ == o_.max_steps)) {
          save();
          say_stopped();
          return !interrupted;
        }
      }
      validate();
      if (o_.patience > 0 && epoch_ - best_epoch_ >= o_.patience) total_ = step_;
      if (o_.minutes > 0 && seconds_since(start_) > 60 * o_.minutes) total_ = step_;
      ended_ = step_ == total_;
      if (ended_) break;
      save_at(epoch_ + 1, 0);
      if (InterruptGuard::requested()) {
        say_stopped();
        return false;
      }
    }
    if (!best_.empty()) {
      std::size_t i = 0;
      for_each_parameter(model_, [&](const std::string&, auto& p) { p.edit() = best_[i++]; });
      best_.clear();
    }
    save();
    return !InterruptGuard::requested();
  }

  /// Reports how well the model reads a text from its beginning to its end.
  void report_metrics(const std::string& split, const Text& text) {
    const double nats =
        read_text_with(model_, text, {.lanes = o_.shards, .steps = o_.steps, .parts = o_.shards}, shards_.workers())
            .first;
    Fields fields = language_metrics(o_.words, split, nats);
    fields.emplace_back("tokens_per_second", std::round(trained_per_second()));
    report_.result(fields);
  }

  Model& model() { return model_; }
  /// Whether its epochs, time or patience have run out; also of one that was resumed.
  bool has_ended() const { return ended_; }

 private:
  static constexpr Index calibration_steps = 20, most_timed_epochs = 1000;

  /// Says how well held-out text is read, in several pieces at once, which is quicker.
  void validate() {
    const auto start = Clock::now();
    const Index lanes = std::max(o_.shards, std::min<Index>(o_.batch, valid_.size() / 8192));
    const double nats =
        read_text_with(model_, valid_, {.lanes = lanes, .steps = o_.steps, .parts = o_.shards}, shards_.workers())
            .first;
    const bool better = std::isfinite(nats) && (best_.empty() || nats < best_nats_);
    report_.say(fmt::format("epoch {} of {}: held out {:.4f} nats, {} ({:.1f} s to read){}", epoch_ + 1, epochs_text(),
                            nats, quality(nats, o_.words), seconds_since(start), better ? "  best" : ""));
    if (taken_ > 0) log_->scalar(step_, "train/nats_per_token", smoothed_);
    log_->scalar(step_, "train/rate", rate_now());
    log_->scalar(step_, "valid/nats_per_token", nats);
    if (!better) return;
    best_nats_ = nats;
    best_epoch_ = epoch_;
    best_.clear();
    for_each_parameter(model_, [&](const std::string&, const auto& p) { best_.push_back(p.value()); });
  }

  Lanes& lanes(Index shard) { return lanes_[static_cast<std::size_t>(shard)]; }
  Index lane(Index shard) const { return part_begin(o_.batch, shard, o_.shards); }
  Index epochs_text() const {
    const Index per_epoch = windows().count();
    return (total_ + per_epoch - 1) / per_epoch;
  }
  double trained_per_second() const { return trained_ > 0 ? trained_ / training_seconds_ : 0; }

  void begin_epoch() {
    for (Index s = 0; s < o_.shards; ++s) {
      shards_.tape(s).rewind();
      begin(s);
    }
  }
  void begin(Index s) { lanes(s).state = model_.initial(shards_.tape(s), lane(s + 1) - lane(s)); }

  void train_step(const Window& window) {
    const auto start = Clock::now();
    std::visit([&](auto& optimizer) { optimizer.set_rate(rate_now()); }, optimizer_);
    const double nats = shards_.backward([&](Tape<>& tape, Index s) {
      Lanes& of = lanes(s);
      const auto [loss, last] = model_.loss(tape, rows_of(window.inputs, lane(s), lane(s + 1), of.inputs),
                                            rows_of(window.targets, lane(s), lane(s + 1), of.targets), of.state);
      check_loss(loss, step_);
      of.state = last;
      return loss * (static_cast<double>(lane(s + 1) - lane(s)) / static_cast<double>(o_.batch));
    });
    for (Index s = 0; s < o_.shards; ++s) lanes(s).state = shards_.tape(s).restart(lanes(s).state);
    std::visit([&](auto& optimizer) { optimizer.step(&shards_.workers()); }, optimizer_);
    smoothed_ = step_ == 0 ? nats : 0.95 * smoothed_ + 0.05 * nats;
    ++taken_;
    trained_ += static_cast<double>(window.inputs.shape.size());
    training_seconds_ += seconds_since(start);
    const double left = seconds_since(start_) / static_cast<double>(taken_) * static_cast<double>(total_ - step_ - 1);
    report_.progress(fmt::format("step {} of {}  loss {:.4f}  {}  {:.0f} tokens/s  {} left", step_ + 1, total_,
                                 smoothed_, quality(smoothed_, o_.words), trained_per_second(), duration_text(left)));
  }

  double rate_now() const {
    if (o_.schedule == "steps") {
      const auto further = static_cast<double>(std::max<Index>(0, epoch_ + 1 - o_.hold));
      return StepDecay{o_.rate, o_.factor, 1}(further);
    }
    const CosineDecay decay{o_.rate, static_cast<double>(total_), o_.rate / 50};
    return WarmUp{20.0, decay}(static_cast<double>(step_));
  }

  /// After a few steps: how many will fit into the time there is.
  void fit_to_time(Index per_epoch) {
    const double per_step = seconds_since(start_) / static_cast<double>(taken_);
    total_ =
        std::clamp(static_cast<Index>(o_.seconds / per_step), 2 * calibration_steps, most_timed_epochs * per_epoch);
  }

  void say_stopped() {
    report_.say(fmt::format("stopped at step {} of {}; go on with --resume {}", step_, total_, o_.out));
  }
  Windows windows() const { return train_.windows({.batch = o_.batch, .steps = o_.steps}); }

  void save() { save_at(epoch_, window_); }
  void save_at(Index epoch, Index window) {
    if (o_.out.empty()) return;
    Checkpoint file;
    file.put_model(model_);
    nlohmann::json at{{"epoch", epoch},
                      {"window", window},
                      {"step", step_},
                      {"total", total_},
                      {"smoothed", smoothed_},
                      {"ended", ended_},
                      {"fingerprint", fingerprint(train_.ids())}};
    std::visit(
        [&](auto& optimizer) {
          file.put_optimizer(optimizer);
          at["rate"] = optimizer.rate();
          at["optimizer_steps"] = optimizer.steps();
        },
        optimizer_);
    if (!best_.empty()) {
      file.put_best(model_, best_);
      at["best"] = best_nats_;
      at["best_epoch"] = best_epoch_;
    }
    for (Index s = 0; s < o_.shards; ++s) {
      file.put_state(fmt::format("state/{}", s), lanes(s).state);
      at["noise"].push_back(shards_.tape(s).rng().position());
    }
    file.metadata = {{"format", "unroll"},
                     {"task", o_.task()},
                     {"config", to_json(o_).dump()},
                     {"vocabulary", train_.symbols().to_json()},
                     {"training", at.dump()}};
    file.write(o_.out);
  }

  static std::uint64_t fingerprint(std::span<const std::int32_t> ids) {
    std::uint64_t hash = ids.size();
    for (const std::int32_t id : ids) hash = Rng::bits(hash, static_cast<std::uint64_t>(id));
    return hash;
  }

  const LanguageTraining& o_;
  const Text& train_;
  const Text& valid_;
  Report& report_;
  Rng rng_;
  Model model_;
  AnyOptimizer optimizer_;
  Window buffer_;
  Shards<> shards_;
  std::vector<Lanes> lanes_;
  std::optional<TrainingLog> log_;
  Index epoch_ = 0, window_ = 0, step_ = 0, total_ = 0, taken_ = 0;
  bool resumed_ = false, ended_ = false;
  double smoothed_ = 0, trained_ = 0, training_seconds_ = 0;
  std::vector<Tensor<float>> best_;  // of the epoch with the best validation; empty: none yet, or put back
  double best_nats_ = 0;
  Index best_epoch_ = 0;
  Clock::time_point start_;
};

void report_baselines(const Text& train, const Text& valid, bool words, Report& report) {
  for (const int order : {1, 2, 5}) {
    const NGram model(order, train.vocabulary(), train.ids());
    const double nats = model.nats_per_token(valid.ids());
    report.say(fmt::format("{:<8} {:.4f} nats, {}",
                           order == 1   ? "unigram"
                           : order == 2 ? "bigram"
                                        : "5-gram",
                           nats, quality(nats, words)));
  }
}

}  // namespace

bool train_language_model(const LanguageTraining& options, Report& report) {
  check_language_training(options);
  require<ValueError>(!options.data.empty(), "train: --data FILE is needed");
  BadLines bad(options.skip_bad);
  const auto name = [](const std::vector<std::string>& files) { return fmt::format("{}", fmt::join(files, ", ")); };
  const auto known = [&](const std::vector<std::string>& files, const Text& train) {
    return Text::of(read_texts(files, bad), train.symbols(), name(files));
  };
  const Text all = Text::of(read_texts(options.data, bad), {.words = options.words, .max_words = options.max_words},
                            name(options.data));
  const auto [train, valid] = options.valid.empty() ? all.split(0.1) : std::pair{all, known(options.valid, all)};
  std::optional<Text> test;
  if (!options.test.empty()) test = known(options.test, train);
  report.warn(bad.summary());
  return train_language_model(options, train, valid, report, test ? &*test : nullptr);
}

bool train_language_model(const LanguageTraining& options, const Text& train, const Text& valid, Report& report,
                          const Text* test) {
  check_language_training(options);
  // Throws for texts that are too short.
  (void)valid.windows({.batch = options.shards});
  if (test != nullptr) (void)test->windows({.batch = options.shards});
  report.say(fmt::format("{}: {} symbols to train on, {} held out, vocabulary of {}", train.name(), train.ids().size(),
                         valid.ids().size(), train.vocabulary()));
  Training training(options, train, valid, report);
  if (!options.resume.empty()) {
    const LanguageFile file = LanguageFile::read(options.resume);
    training.resume(options.resume, file.training);
  }
  report.say(fmt::format("{} with {} parameters: {} layers of {}, batch {}, {} steps", options.cell,
                         count_parameters(training.model()), options.layers, options.hidden, options.batch,
                         options.steps));
  if (options.baselines) report_baselines(train, valid, options.words, report);
  if (training.has_ended()) report.say("this training has ended: there is nothing to go on with");
  const bool finished = training.run();
  if (!options.out.empty()) report.say("saved " + options.out);
  if (test != nullptr) training.report_metrics("test", *test);
  training.report_metrics("valid", valid);
  return finished;
}

}  // namespace unroll::inline UNROLL_ISA
