#pragma once

#include <string>
#include <vector>

#include <unroll/autograd/tape/parameter.h>

namespace unroll::inline UNROLL_ISA {

/// Parameters that are updated with a rate and a decay of their own.
template <Real T>
struct ParameterGroup {
  std::vector<Parameter<T>*> parameters;
  double rate_factor = 1;    // times the optimizer's rate
  double weight_decay = -1;  // negative: the optimizer's
};

/// What an optimizer keeps from step to step, for a checkpoint: arrays named "slot/path", to be read or overwritten.
template <Real T>
struct OptimizerState {
  std::vector<std::pair<std::string, Tensor<T>*>> tensors;
  std::uint64_t* steps = nullptr;
};

/// The machinery of all optimizers. It sees parameters, never layers. Of a parameter whose gradient is rows (an
/// embedding) only the rows that were touched are updated. `Method` has `Options`, the names of the arrays it keeps for
/// each parameter in `slots`, and the formula of one update.
template <Real T, class Method>
class Optimizer {
 public:
  using Options = typename Method::Options;

  Optimizer(std::vector<Parameter<T>*> parameters, const Options& options = {})
      : Optimizer(std::vector<ParameterGroup<T>>{{std::move(parameters)}}, options) {}
  /// Throws ValueError for an option outside its domain and for a parameter that is listed twice.
  Optimizer(std::vector<ParameterGroup<T>> groups, const Options& options = {});

  /// Clips, updates every parameter that has a gradient and is not frozen, and clears the gradients. Returns the
  /// Euclidean norm of all gradients before clipping; when that is not finite nothing is updated.
  double step();
  /// Forgets gradients without a step.
  void clear_gradients();

  double rate() const { return options_.rate; }
  void set_rate(double rate) { options_.rate = rate; }
  std::uint64_t steps() const { return steps_; }
  OptimizerState<T> state();

 private:
  struct Entry {
    Parameter<T>* parameter;
    double rate_factor, weight_decay;
    std::array<Tensor<T>, Method::slots.size()> slots;
  };

  Options options_;
  std::vector<Entry> entries_;
  std::uint64_t steps_ = 0;
};

}  // namespace unroll::inline UNROLL_ISA
