#include <unroll/layers/cells/indrnn_cell.h>

namespace unroll::inline UNROLL_ISA {

template <Real T>
auto IndRNNCell<T>::step(Var<T> x, State h) const -> State {
  return relu(x + recurrent * h);
}

template struct IndRNNCell<float>;
template struct IndRNNCell<double>;

}  // namespace unroll::inline UNROLL_ISA
