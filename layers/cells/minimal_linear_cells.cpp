#include <unroll/layers/cells/minimal_linear_cells.h>

namespace unroll::inline UNROLL_ISA {

template <Real T>
auto MinGRUCell<T>::step(Var<T> x, State h) const -> State {
  const auto [z, n] = split<2>(x);
  return lerp(h, n, sigmoid(z, "update"));
}

template <Real T>
Var<T> MinGRUCell<T>::scan(Var<T> projected, State& h, const ScanSteps& steps) const {
  const auto [z, n] = split<2>(projected);
  const Var<T> hs = scan_rows(h, steps, [&](auto last) { return lerp(last, n, sigmoid(z, "update")); });
  h = last_rows(hs, h, steps);
  return hs;
}

template <Real T>
auto MinLSTMCell<T>::step(Var<T> x, State h) const -> State {
  const auto [f, i, n] = split<3>(x);
  const auto forget = sigmoid(f, "forget");
  return lerp(n, h, forget / (forget + sigmoid(i, "input")));
}

template <Real T>
Var<T> MinLSTMCell<T>::scan(Var<T> projected, State& h, const ScanSteps& steps) const {
  const auto [f, i, n] = split<3>(projected);
  const auto forget = sigmoid(f, "forget");
  const auto keep = forget / (forget + sigmoid(i, "input"));
  const Var<T> hs = scan_rows(h, steps, [&](auto last) { return lerp(n, last, keep); });
  h = last_rows(hs, h, steps);
  return hs;
}

template struct MinGRUCell<float>;
template struct MinGRUCell<double>;
template struct MinLSTMCell<float>;
template struct MinLSTMCell<double>;

}  // namespace unroll::inline UNROLL_ISA
