#include <unroll/layers/layer_norm.h>

namespace unroll::inline UNROLL_ISA {

template <Real T>
Var<T> LayerNorm<T>::normalize(Var<T> x) const {
  const Shape column = x.shape().with(-1, 1);
  const Var<T> centred = x - reshape(mean(x, -1), column);
  const Var<T> variance = reshape(mean(square(centred), -1), column);
  return centred / sqrt(variance + epsilon) * gain + bias;
}

template struct LayerNorm<float>;
template struct LayerNorm<double>;

}  // namespace unroll::inline UNROLL_ISA
