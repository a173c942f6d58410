#include <unroll/layers/cells/gru_cell.h>

namespace unroll::inline UNROLL_ISA {

template <Real T>
auto GRUCell<T>::step(Var<T> x, State h) const -> State {
  const Var<T> of_gates = slice(x, -1, 0, 2 * width), of_candidate = slice(x, -1, 2 * width, 3 * width);
  const auto [r, z] = split<2>(addmm(of_gates, h, gates.weight));
  const auto n = tanh(of_candidate + sigmoid(r, "reset") * candidate(h));
  return lerp(n, h, sigmoid(z, "update"));
}

template <Real T>
auto GRUResetBeforeCell<T>::step(Var<T> x, State h) const -> State {
  const Var<T> of_gates = slice(x, -1, 0, 2 * width), of_candidate = slice(x, -1, 2 * width, 3 * width);
  const auto [r, z] = split<2>(addmm(of_gates, h, gates.weight));
  const Var<T> n = addmm(of_candidate, sigmoid(r, "reset") * h, candidate.weight);
  return lerp(tanh(n), h, sigmoid(z, "update"));
}

template struct GRUCell<float>;
template struct GRUCell<double>;
template struct GRUResetBeforeCell<float>;
template struct GRUResetBeforeCell<double>;

}  // namespace unroll::inline UNROLL_ISA
