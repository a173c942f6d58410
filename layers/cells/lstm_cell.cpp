#include <unroll/layers/cells/lstm_cell.h>

namespace unroll::inline UNROLL_ISA {

template <Real T>
auto LSTMCell<T>::step(Var<T> x, State s) const -> State {
  const auto [i, f, g, o] = split<4>(addmm(x, s.h, recurrent.weight));
  const Var<T> c = sigmoid(f, "forget") * s.c + sigmoid(i, "input") * tanh(g);
  return {sigmoid(o, "output") * tanh(c), c};
}

template struct LSTMCell<float>;
template struct LSTMCell<double>;

}  // namespace unroll::inline UNROLL_ISA
