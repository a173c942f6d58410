#include <unroll/layers/cells/projection_lstm_cell.h>

namespace unroll::inline UNROLL_ISA {

template <Real T>
auto ProjectionLSTMCell<T>::step(Var<T> x, State s) const -> State {
  const auto [i, f, g, o] = split<4>(addmm(x, s.h, recurrent.weight));
  const Var<T> c = sigmoid(f, "forget") * s.c + sigmoid(i, "input") * tanh(g);
  return {projection(sigmoid(o, "output") * tanh(c)), c};
}

template struct ProjectionLSTMCell<float>;
template struct ProjectionLSTMCell<double>;

}  // namespace unroll::inline UNROLL_ISA
