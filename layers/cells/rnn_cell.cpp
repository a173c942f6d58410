#include <unroll/layers/cells/rnn_cell.h>

namespace unroll::inline UNROLL_ISA {

template <Real T>
auto RNNCell<T>::step(Var<T> x, State h) const -> State {
  const Var<T> a = addmm(x, h, recurrent.weight);
  return activation == Activation::tanh ? Var<T>(tanh(a)) : Var<T>(relu(a));
}

template struct RNNCell<float>;
template struct RNNCell<double>;

}  // namespace unroll::inline UNROLL_ISA
