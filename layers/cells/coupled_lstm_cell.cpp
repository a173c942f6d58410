#include <unroll/layers/cells/coupled_lstm_cell.h>

namespace unroll::inline UNROLL_ISA {

template <Real T>
auto CoupledLSTMCell<T>::step(Var<T> x, State s) const -> State {
  const auto [f, g, o] = split<3>(addmm(x, s.h, recurrent.weight));
  const Var<T> c = lerp(tanh(g), s.c, sigmoid(f, "forget"));
  return {sigmoid(o, "output") * tanh(c), c};
}

template struct CoupledLSTMCell<float>;
template struct CoupledLSTMCell<double>;

}  // namespace unroll::inline UNROLL_ISA
