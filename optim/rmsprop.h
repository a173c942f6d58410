#pragma once

#include <unroll/optim/optimizer.h>

namespace unroll::inline UNROLL_ISA {

struct RMSPropMethod {
  struct Options {
    double rate = 1e-3;
    double decay = 0.99, epsilon = 1e-8;
    double weight_decay = 0;  // adds weight_decay * value to the gradient
    double clip = 0;          // largest Euclidean norm of all gradients together; 0: none
    double clip_value = 0;    // largest magnitude of an element of a gradient; 0: none
  };
  static constexpr std::array slots{"square"};
};

/// v' = decay v + (1 - decay) g^2, x' = x - rate g / (sqrt(v') + epsilon) (Tieleman and Hinton 2012, lecture 6.5).
template <Real T = float>
class RMSProp : public Optimizer<T, RMSPropMethod> {
 public:
  RMSProp(std::vector<Parameter<T>*> parameters, const RMSPropMethod::Options& options = {})
      : Optimizer<T, RMSPropMethod>(std::move(parameters), options) {}
  RMSProp(std::vector<ParameterGroup<T>> groups, const RMSPropMethod::Options& options = {})
      : Optimizer<T, RMSPropMethod>(std::move(groups), options) {}
};

}  // namespace unroll::inline UNROLL_ISA
