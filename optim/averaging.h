#pragma once

#include <vector>

#include <unroll/autograd/tape/parameter.h>

namespace unroll::inline UNROLL_ISA {

/// A running average of weights: a' = decay a + (1 - decay) x after each update (Polyak and Juditsky 1992, with
/// exponential weights), or with decay 0 the mean of all since the start. swap() exchanges averages and weights, to
/// evaluate with the former and to go on with the latter.
template <Real T = float>
class WeightAverage {
 public:
  explicit WeightAverage(std::vector<Parameter<T>*> parameters, double decay = 0.999);

  void update();
  void swap();
  std::uint64_t updates() const { return updates_; }

 private:
  std::vector<Parameter<T>*> parameters_;
  std::vector<Tensor<T>> averages_;
  double decay_;
  std::uint64_t updates_ = 0;
};

}  // namespace unroll::inline UNROLL_ISA
