#pragma once

#include <unroll/optim/optimizer.h>

namespace unroll::inline UNROLL_ISA {

struct AdagradMethod {
  struct Options {
    double rate = 1e-2;
    double epsilon = 1e-10;
    double weight_decay = 0;  // adds weight_decay * value to the gradient
    double clip = 0;          // largest Euclidean norm of all gradients together; 0: none
    double clip_value = 0;    // largest magnitude of an element of a gradient; 0: none
  };
  static constexpr std::array slots{"square"};
};

/// v' = v + g^2, x' = x - rate g / (sqrt(v') + epsilon) (Duchi, Hazan and Singer 2011).
template <Real T = float>
class Adagrad : public Optimizer<T, AdagradMethod> {
 public:
  Adagrad(std::vector<Parameter<T>*> parameters, const AdagradMethod::Options& options = {})
      : Optimizer<T, AdagradMethod>(std::move(parameters), options) {}
  Adagrad(std::vector<ParameterGroup<T>> groups, const AdagradMethod::Options& options = {})
      : Optimizer<T, AdagradMethod>(std::move(groups), options) {}
};

}  // namespace unroll::inline UNROLL_ISA
