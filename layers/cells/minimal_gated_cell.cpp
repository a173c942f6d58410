#include <unroll/layers/cells/minimal_gated_cell.h>

namespace unroll::inline UNROLL_ISA {

template <Real T>
auto MinimalGatedCell<T>::step(Var<T> x, State h) const -> State {
  const auto [xf, xn] = split<2>(x);
  const Var<T> f = sigmoid(addmm(xf, h, gate.weight), "forget");
  return lerp(h, tanh(addmm(xn, f * h, candidate.weight)), f);
}

template struct MinimalGatedCell<float>;
template struct MinimalGatedCell<double>;

}  // namespace unroll::inline UNROLL_ISA
