#pragma once

#include <string>
#include <vector>

#include <unroll/autograd/tape/parameter.h>
#include <unroll/autograd/tape/workers.h>

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

namespace detail {
/// Numbers that hold for one parameter in one step.
template <Real T>
struct Scales {
  T rate, decay;  // of this parameter
  T clip_scale;   // what gradients are multiplied by
  T clip_value;   // 0: none
  T a, b, c, d;   // what the method makes of its options
};
}  // namespace detail

/// The machinery of all optimizers. It sees parameters, never layers. Of a parameter whose gradient is rows (an
/// embedding) only the rows that were touched are updated. `Method` has `Options`, the names of the arrays it keeps for
/// each parameter in `slots`, and the formula of one update; it may say by `keeps(options)` that it needs none of them.
template <Real T, class Method>
class Optimizer {
 public:
  using Options = typename Method::Options;

  Optimizer(std::vector<Parameter<T>*> parameters, const Options& options = {})
      : Optimizer(std::vector<ParameterGroup<T>>{{std::move(parameters)}}, options) {}
  /// Throws ValueError for an option outside its domain and for a parameter that is listed twice.
  Optimizer(std::vector<ParameterGroup<T>> groups, const Options& options = {});

  /// Clips, updates every parameter that has a gradient and is not frozen, and clears the gradients. Returns the
  /// Euclidean norm of all gradients before clipping; when that is not finite nothing is updated. With `workers` the
  /// arrays are shared out in blocks; the result is the same to the bit.
  double step(Workers* workers = nullptr);
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
    detail::Scales<T> scales;
    std::array<Tensor<T>, Method::slots.size()> slots;
  };

  /// Adjacent elements of one parameter.
  struct Block {
    Entry* entry;
    Index offset, count;
    double squares;
  };

  static bool keeps(const Options& options) {
    if constexpr (requires { Method::keeps(options); })
      return Method::keeps(options);
    else
      return true;
  }

  Options options_;
  std::vector<Entry> entries_;
  std::vector<Block> blocks_;
  std::uint64_t steps_ = 0;
};

}  // namespace unroll::inline UNROLL_ISA
