#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include <unroll/autograd/tensor/error.h>

// Learning rates as functions of the step (from 0): adam.set_rate(schedule(step)).

namespace unroll::inline UNROLL_ISA {

/// rate * factor^(step / every), in jumps.
struct StepDecay {
  double rate, factor = 0.5;
  double every = 1000;
  double operator()(double step) const { return rate * std::pow(factor, std::floor(step / every)); }
};

/// rate * factor^(step / every), continuously.
struct ExponentialDecay {
  double rate, factor = 0.5;
  double every = 1000;
  double operator()(double step) const { return rate * std::pow(factor, step / every); }
};

/// From `rate` down half a cosine to `last` at step `steps`, and there it stays (Loshchilov and Hutter 2017, eq. 5).
struct CosineDecay {
  double rate, steps;
  double last = 0;
  double operator()(double step) const {
    const double share = std::clamp(step / steps, 0.0, 1.0);
    return last + (rate - last) * (1 + std::cos(std::numbers::pi * share)) / 2;
  }
};

/// Linear from 0 over the first `steps` steps, then another schedule, which counts from its own 0.
template <class Next>
struct WarmUp {
  double steps;
  Next next;
  double operator()(double step) const { return step < steps ? next(0.0) * (step + 1) / steps : next(step - steps); }
};
template <class Next>
WarmUp(double, Next) -> WarmUp<Next>;

/// Multiplies the rate by `factor` when a loss has not fallen below its best for more than `patience` reports.
class Plateau {
 public:
  Plateau(double rate, double factor = 0.5, int patience = 0, double least = 0)
      : rate_(rate), factor_(factor), least_(least), patience_(patience) {
    require<ValueError>(factor > 0 && factor < 1, "plateau: the factor {} is not in 0 < factor < 1", factor);
  }
  double rate() const { return rate_; }
  /// Takes the newest loss, returns the rate to go on with.
  double report(double loss) {
    if (loss < best_) {
      best_ = loss;
      waited_ = 0;
    } else if (++waited_ > patience_) {
      rate_ = std::max(least_, rate_ * factor_);
      waited_ = 0;
    }
    return rate_;
  }

 private:
  double rate_, factor_, least_, best_ = std::numeric_limits<double>::infinity();
  int patience_, waited_ = 0;
};

}  // namespace unroll::inline UNROLL_ISA
