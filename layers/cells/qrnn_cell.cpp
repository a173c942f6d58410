#include <unroll/layers/cells/qrnn_cell.h>

namespace unroll::inline UNROLL_ISA {

template <Real T>
auto QRNNCell<T>::step(Var<T> x, State s) const -> State {
  const auto [now, next] = split<2>(x);
  const auto [z, f, o] = split<3>(now);
  const auto [zw, fw, ow] = split<3>(s.window);
  const Var<T> c = lerp(tanh(z + zw), s.c, sigmoid(f + fw, "forget"));
  return {sigmoid(o + ow, "output") * c, c, next};
}

template <Real T>
Var<T> QRNNCell<T>::scan(Var<T> projected, State& s, const ScanSteps& steps) const {
  const auto [now, next] = split<2>(projected);
  const auto [z, f, o] = split<3>(now);
  const auto [zw, fw, ow] = split<3>(previous_rows(next, s.window, steps));
  const Var<T> c =
      scan_rows(s.c, steps, [&](auto last) { return lerp(tanh(z + zw), last, sigmoid(f + fw, "forget")); });
  const Var<T> h = sigmoid(o + ow, "output") * c;
  s = {last_rows(h, s.h, steps), last_rows(c, s.c, steps), last_rows(next, s.window, steps)};
  return h;
}

template struct QRNNCell<float>;
template struct QRNNCell<double>;

}  // namespace unroll::inline UNROLL_ISA
