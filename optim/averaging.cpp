#include <unroll/optim/averaging.h>

#include <unroll/autograd/tensor/denormals.h>

namespace unroll::inline UNROLL_ISA {

template <Real T>
WeightAverage<T>::WeightAverage(std::vector<Parameter<T>*> parameters, double decay)
    : parameters_(std::move(parameters)), decay_(decay) {
  require<ValueError>(decay >= 0 && decay < 1, "weight average: the decay {} is not in 0 <= decay < 1", decay);
  for (const Parameter<T>* p : parameters_) averages_.push_back(p->value());
}

template <Real T>
void WeightAverage<T>::update() {
  const FlushDenormals no_denormals;
  ++updates_;
  // Early on the mean of all so far, so that the starting point is forgotten at once.
  const double mean = 1.0 / static_cast<double>(updates_);
  const T share = static_cast<T>(decay_ == 0 ? mean : std::max(1 - decay_, mean));
  for (std::size_t i = 0; i < averages_.size(); ++i) {
    const T* const x = parameters_[i]->value().data();
    T* const a = averages_[i].data();
    for (std::size_t k = 0; k < averages_[i].size(); ++k) a[k] += share * (x[k] - a[k]);
  }
}

template <Real T>
void WeightAverage<T>::swap() {
  for (std::size_t i = 0; i < averages_.size(); ++i) {
    Tensor<T>& x = parameters_[i]->edit();
    std::swap_ranges(x.begin(), x.end(), averages_[i].begin());
  }
}

template class WeightAverage<float>;
template class WeightAverage<double>;

}  // namespace unroll::inline UNROLL_ISA
