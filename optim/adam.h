#pragma once

#include <unroll/optim/optimizer.h>

namespace unroll::inline UNROLL_ISA {

struct AdamMethod {
  struct Options {
    double rate = 1e-3;
    double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
    double weight_decay = 0;  // adds weight_decay * value to the gradient
    double clip = 0;          // largest Euclidean norm of all gradients together; 0: none
    double clip_value = 0;    // largest magnitude of an element of a gradient; 0: none
  };
  static constexpr std::array slots{"mean", "square"};
};

/// Adam (Kingma and Ba 2015, algorithm 1). Rows of an embedding that were not touched keep their moments.
template <Real T = float>
class Adam : public Optimizer<T, AdamMethod> {
 public:
  Adam(std::vector<Parameter<T>*> parameters, const AdamMethod::Options& options = {})
      : Optimizer<T, AdamMethod>(std::move(parameters), options) {}
  Adam(std::vector<ParameterGroup<T>> groups, const AdamMethod::Options& options = {})
      : Optimizer<T, AdamMethod>(std::move(groups), options) {}
};

struct AdamWMethod {
  struct Options {
    double rate = 1e-3;
    double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
    double weight_decay = 1e-2;  // values shrink by rate * weight_decay
    double clip = 0;             // largest Euclidean norm of all gradients together; 0: none
    double clip_value = 0;       // largest magnitude of an element of a gradient; 0: none
  };
  static constexpr std::array slots{"mean", "square"};
};

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2).
template <Real T = float>
class AdamW : public Optimizer<T, AdamWMethod> {
 public:
  AdamW(std::vector<Parameter<T>*> parameters, const AdamWMethod::Options& options = {})
      : Optimizer<T, AdamWMethod>(std::move(parameters), options) {}
  AdamW(std::vector<ParameterGroup<T>> groups, const AdamWMethod::Options& options = {})
      : Optimizer<T, AdamWMethod>(std::move(groups), options) {}
};

}  // namespace unroll::inline UNROLL_ISA
