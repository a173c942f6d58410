#include <unroll/layers/cells/layer_norm_gru_cell.h>

namespace unroll::inline UNROLL_ISA {

template <Real T>
Var<T> LayerNormGRUCell<T>::project(Var<T> xs) const {
  const Var<T> p = input(xs);
  return concat(input_norm(slice(p, -1, 0, 2 * width)), input_candidate_norm(slice(p, -1, 2 * width, 3 * width)));
}

template <Real T>
auto LayerNormGRUCell<T>::step(Var<T> x, State h) const -> State {
  const auto [xr, xz, xn] = split<3>(x);
  const Var<T> p = recurrent(h);
  const auto [hr, hz] = split<2>(recurrent_norm(slice(p, -1, 0, 2 * width)));
  const Var<T> hn = recurrent_candidate_norm(slice(p, -1, 2 * width, 3 * width));
  return lerp(h, tanh(xn + sigmoid(xr + hr, "reset") * hn), sigmoid(xz + hz, "update"));
}

template struct LayerNormGRUCell<float>;
template struct LayerNormGRUCell<double>;

}  // namespace unroll::inline UNROLL_ISA
