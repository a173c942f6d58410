#include <unroll/layers/lstm_cell.h>

namespace unroll::inline UNROLL_ISA {

template <Real T>
auto LSTMCell<T>::step(Var<T> x, State s) const -> State {
  const auto [i, f, g, o] = split<4>(addmm(x, s.h, recurrent.weight));
  const Var<T> c = sigmoid(f) * s.c + sigmoid(i) * tanh(g);
  return {sigmoid(o) * tanh(c), c};
}

template struct LSTMCell<float>;
template struct LSTMCell<double>;

}  // namespace unroll::inline UNROLL_ISA
