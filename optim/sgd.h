#pragma once

#include <unroll/optim/optimizer.h>

namespace unroll::inline UNROLL_ISA {

struct SGDMethod {
  struct Options {
    double rate = 0.1;
    double momentum = 0;
    bool nesterov = false;
    double weight_decay = 0;  // adds weight_decay * value to the gradient
    double clip = 0;          // largest Euclidean norm of all gradients together; 0: none
    double clip_value = 0;    // largest magnitude of an element of a gradient; 0: none
  };
  static constexpr std::array slots{"momentum"};
  static bool keeps(const Options& o) { return o.momentum != 0; }
};

/// Stochastic gradient descent: m' = momentum m + g, x' = x - rate m'; with Nesterov's momentum
/// x' = x - rate (g + momentum m') (Sutskever et al. 2013).
template <Real T = float>
class SGD : public Optimizer<T, SGDMethod> {
 public:
  SGD(std::vector<Parameter<T>*> parameters, const SGDMethod::Options& options = {})
      : Optimizer<T, SGDMethod>(std::move(parameters), options) {}
  SGD(std::vector<ParameterGroup<T>> groups, const SGDMethod::Options& options = {})
      : Optimizer<T, SGDMethod>(std::move(groups), options) {}
};

}  // namespace unroll::inline UNROLL_ISA
