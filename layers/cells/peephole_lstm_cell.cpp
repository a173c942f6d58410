#include <unroll/layers/cells/peephole_lstm_cell.h>

namespace unroll::inline UNROLL_ISA {

template <Real T>
auto PeepholeLSTMCell<T>::step(Var<T> x, State s) const -> State {
  const auto [i, f, g, o] = split<4>(addmm(x, s.h, recurrent.weight));
  const Var<T> c = sigmoid(f + peep_f * s.c, "forget") * s.c + sigmoid(i + peep_i * s.c, "input") * tanh(g);
  return {sigmoid(o + peep_o * c, "output") * tanh(c), c};
}

template struct PeepholeLSTMCell<float>;
template struct PeepholeLSTMCell<double>;

}  // namespace unroll::inline UNROLL_ISA
