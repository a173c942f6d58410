#include <unroll/layers/cells/layer_norm_lstm_cell.h>

namespace unroll::inline UNROLL_ISA {

template <Real T>
auto LayerNormLSTMCell<T>::step(Var<T> x, State s) const -> State {
  const Var<T> gates = recurrent_norm(recurrent(s.h)) + x;
  const auto [i, f, g, o] = split<4>(gates);
  const Var<T> c = sigmoid(f, "forget") * s.c + sigmoid(i, "input") * tanh(g);
  return {sigmoid(o, "output") * tanh(cell_norm(c)), c};
}

template struct LayerNormLSTMCell<float>;
template struct LayerNormLSTMCell<double>;

}  // namespace unroll::inline UNROLL_ISA
