#pragma once

#include <functional>

#include <unroll/autograd/ops/elementwise.h>
#include <unroll/models/report.h>
#include <unroll/models/settings.h>

namespace unroll::inline UNROLL_ISA {

/// How a model is fitted to examples.
struct FitOptions {
  Index epochs = 20, batch = 32;
  double rate = 2e-3;   // of Adam, after warming up and before falling to a fiftieth along half a cosine
  double clip = 5;      // largest norm of the gradient; 0: any
  double decay = 0;     // decoupled weight decay, times the rate
  Index patience = 10;  // epochs without a better validation before training ends; 0: any
  double minutes = 0;   // no epoch is begun after so many; 0: any
  Index seed = 1;
  Index threads = 2;     // the result does not depend on them
  Index shards = 2;      // parts of a batch that may run side by side; the result depends on them
  std::string log = {};  // folder for curves; empty: none

  static void fields(auto& o, auto&& f) {
    f("epochs", o.epochs, "times the examples are gone through", range::count);
    f("batch", o.batch, "examples of an update", range::batch);
    f("rate", o.rate, "largest learning rate of Adam", range::rate);
    f("clip", o.clip, "largest norm of the gradient; 0: any", range::not_negative);
    f("decay", o.decay, "weight decay, times the rate", range::not_negative);
    f("patience", o.patience, "epochs without a better validation before training ends; 0: any number",
      range::count_or_none);
    f("minutes", o.minutes, "no epoch is begun after so many; 0: any number", range::not_negative);
    f("seed", o.seed, "seed of weights, dropout and the order of examples");
    f("threads", o.threads, "threads; the result does not depend on them", range::threads);
    f("shards", o.shards, "parts of a batch that may run side by side; the result depends on them", range::shards);
    f("log", o.log,
      "folder for curves, as CSV and for TensorBoard; with --folds, for each a folder in it: fold-1, ...");
  }
};

/// Throws Error, saying where it became so, for a loss that is not finite.
void check_loss(const Var<>& loss, Index update);

/// How good a model is on held-out examples: the higher the score the better, and what people want to read.
struct Validation {
  double score = 0;
  Fields fields;
};

/// What fit() needs to know of a model and its examples.
struct FitProblem {
  std::vector<Parameter<float>*> parameters;
  std::vector<Index> lengths;  // of each example; such of like length go into one batch
  /// The mean loss of some examples, in nats where it is a likelihood.
  std::function<Var<>(Tape<>&, std::span<const Index>)> loss;
  std::function<Validation()> validate;
  /// Called when the validation is the best so far, and after Ctrl-C before the first.
  std::function<void()> keep;
  /// Whether the best validation is kept, and patience ends training; else what came last, so that nothing is chosen on
  /// the examples that are validated on.
  bool choose = true;
};

/// Trains until the epochs are over, patience or time runs out, or Ctrl-C; the parameters are then those of the best
/// validation, or the last. Returns false when it was interrupted. The same seed and shards give the same bits.
/// Throws ValueError for options outside their domain, and Error when the loss is not finite, saying where.
bool fit(const FitProblem& problem, const FitOptions& options, Report& report);

}  // namespace unroll::inline UNROLL_ISA
