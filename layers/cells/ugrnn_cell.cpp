#include <unroll/layers/cells/ugrnn_cell.h>

namespace unroll::inline UNROLL_ISA {

template <Real T>
auto UGRNNCell<T>::step(Var<T> x, State h) const -> State {
  const auto [g, n] = split<2>(addmm(x, h, recurrent.weight));
  return lerp(tanh(n), h, sigmoid(g, "update"));
}

template struct UGRNNCell<float>;
template struct UGRNNCell<double>;

}  // namespace unroll::inline UNROLL_ISA
