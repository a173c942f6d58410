#include <unroll/layers/cells/multiplicative_lstm_cell.h>

namespace unroll::inline UNROLL_ISA {

template <Real T>
auto MultiplicativeLSTMCell<T>::step(Var<T> x, State s) const -> State {
  const Var<T> of_gates = slice(x, -1, 0, 4 * width), of_factor = slice(x, -1, 4 * width, 5 * width);
  const Var<T> m = of_factor * recurrent_factor(s.h);
  const auto [i, f, g, o] = split<4>(addmm(of_gates, m, recurrent.weight));
  const Var<T> c = sigmoid(f, "forget") * s.c + sigmoid(i, "input") * tanh(g);
  return {sigmoid(o, "output") * tanh(c), c};
}

template struct MultiplicativeLSTMCell<float>;
template struct MultiplicativeLSTMCell<double>;

}  // namespace unroll::inline UNROLL_ISA
