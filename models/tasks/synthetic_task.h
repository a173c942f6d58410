#pragma once

#include <unroll/models/any_layers.h>
#include <unroll/models/data/synthetic.h>
#include <unroll/models/task.h>
#include <unroll/optim/optim.h>

// The synthetic tasks of the program: a stack of recurrent layers learns one of them.

namespace unroll::inline UNROLL_ISA {

struct SyntheticTraining {
  std::string task = "adding";
  std::string cell = "lstm";
  Index steps = 0;  // 0: as the task is usually tried
  Index start = 0;  // length to begin with, which grows to `steps` as it is learned; 0: the whole length at once
  Index hidden = 64, layers = 1, batch = 32, updates = 20000;
  std::string wrapper = "none";
  double wrapper_rate = 0.1;
  double rate = 4e-3, clip = 1.0;
  Index seed = 1, shards = 2;
  Index threads = 2;
  std::string log = {};  // folder for curves; empty: none
  std::string out = {}, resume = {};
  Index max_steps = 0;  // stop after so many updates, to be resumed; 0: never

  /// What a model file says of its training.
  static void fields(auto& o, auto&& f) {
    f("cell", o.cell, "recurrent cell");
    f("steps", o.steps, "length of the task; 0: as it is usually tried", range::count_or_none);
    f("start", o.start, "length to begin with in adding, copy and parity, which grows as it is learned; 0: all at once",
      range::count_or_none);
    f("hidden", o.hidden, "width of the recurrent layers", range::width);
    f("layers", o.layers, "number of recurrent layers", range::depth);
    f("wrapper", o.wrapper, wrapper_help());
    f("wrapper-rate", o.wrapper_rate, "share that a wrapper drops or keeps, if it does", range::dropped);
    f("batch", o.batch, "sequences of an update", range::batch);
    f("updates", o.updates, "most updates; training ends when the task is solved", Range{1, 0x1p40});
    f("rate", o.rate, "largest learning rate of Adam", range::rate);
    f("clip", o.clip, "largest norm of the gradient; 0: any", range::not_negative);
    f("seed", o.seed, "seed of weights and sequences");
    f("shards", o.shards, "parts of a batch that may run side by side; the result depends on them", range::shards);
  }
};

/// Recurrent layers and a head that is read at every scored step.
struct SyntheticModel {
  AnyLayers rnn;
  Linear<> head;

  SyntheticModel(const SyntheticTask& task, const SyntheticTraining& o, Rng& rng)
      : rnn({.in = task.features,
             .width = o.hidden,
             .count = o.layers,
             .cell = o.cell,
             .wrapper = o.wrapper,
             .wrapper_rate = o.wrapper_rate},
            rng),
        head(rnn.width(), task.outputs, rng) {}

  /// What the model says at the scored steps: [time - first, batch, outputs], numbers or logits.
  Var<> operator()(Tape<>& tape, const Examples& e) const {
    return head(slice(rnn(tape.constant(e.inputs), e.lengths), 0, e.first, e.time()));
  }
  /// Mean squared error, or mean cross entropy in nats.
  Var<> loss(Tape<>& tape, const Examples& e) const { return loss_of((*this)(tape, e), e); }
  static Var<> loss_of(Var<> said, const Examples& e) {
    return e.classes.empty() ? Var<>(mse(said, said.tape().constant(e.numbers))) : cross_entropy(said, e.classes);
  }

  static void fields(auto& m, auto&& f) { f("rnn", m.rnn), f("head", m.head); }
};

/// How a model does on sequences that were held out.
struct SyntheticScore {
  double loss = 0;
  double share_right = 0;  // of sequences that are right throughout; of tasks that predict classes
  bool solved = false;
};

SyntheticScore score_of(const SyntheticModel& model, const SyntheticTask& task, std::span<const Examples> sequences);

/// A model in training, update by update.
class SyntheticTrainer {
 public:
  /// Throws ValueError for options that do not fit.
  explicit SyntheticTrainer(const SyntheticTraining& options);

  /// One update; returns the loss before it. Throws Error when that is not finite.
  double update();
  /// Throws Error when the loss is not finite.
  SyntheticScore evaluate(Index sequences) const;
  /// The same on some sequences, and on more if these are solved, which then says whether the task is.
  SyntheticScore try_out();
  bool solved() const { return solved_; }

  void save(const std::string& path);
  /// Goes on where the file stood. Throws FileError.
  void resume(const std::string& path);
  /// Takes over the weights of a model of the same extents.
  void start_from(const SyntheticModel& model);

  const SyntheticTask& task() const { return task_; }
  const SyntheticModel& model() const { return model_; }
  SyntheticModel& model() { return model_; }
  Index updates() const { return updates_; }
  /// The length that is trained now.
  Index length() const { return length_; }
  /// Over the last updates at that length.
  double smoothed_loss() const { return smoothed_; }

 private:
  void grow();

  SyntheticTraining options_;
  SyntheticTask task_;
  Rng weights_, examples_;
  SyntheticModel model_;
  Adam<float> adam_;
  Shards<> shards_;
  Index updates_ = 0;
  Index length_ = 0, at_length_ = 0;  // and updates with it
  double smoothed_ = 0;
  bool solved_ = false;
};

/// Trains until the task is solved or the updates are made, reports and saves. Returns false when it was interrupted;
/// what was reached is then saved.
bool train_synthetic(const SyntheticTraining& options, Report& report);

/// What a model file says of its training. Throws FileError when it is of no such task.
SyntheticTraining synthetic_training_of(const std::string& model_file);

/// A model and what it was trained for.
struct TrainedSynthetic {
  SyntheticTask task;
  SyntheticModel model;
  /// Throws FileError.
  static TrainedSynthetic open(const std::string& model_file);
};

/// The task of that name for the program.
std::unique_ptr<Task> synthetic_application(const std::string& name);
/// Whether there is one of that name.
bool is_synthetic(const std::string& task);

}  // namespace unroll::inline UNROLL_ISA
