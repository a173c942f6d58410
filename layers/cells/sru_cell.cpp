#include <unroll/layers/cells/sru_cell.h>

namespace unroll::inline UNROLL_ISA {

template <Real T>
auto SRUCell<T>::step(Var<T> x, State s) const -> State {
  const auto [z, f, r, skipped] = split<4>(x);
  const Var<T> c = lerp(z, s.c, sigmoid(f, "forget"));
  return {lerp(skipped, tanh(c), sigmoid(r, "reset")), c};
}

template <Real T>
Var<T> SRUCell<T>::scan(Var<T> projected, State& s, const ScanSteps& steps) const {
  const auto [z, f, r, skipped] = split<4>(projected);
  const Var<T> c = scan_rows(s.c, steps, [&](auto last) { return lerp(z, last, sigmoid(f, "forget")); });
  const Var<T> h = lerp(skipped, tanh(c), sigmoid(r, "reset"));
  s = {last_rows(h, s.h, steps), last_rows(c, s.c, steps)};
  return h;
}

template struct SRUCell<float>;
template struct SRUCell<double>;

}  // namespace unroll::inline UNROLL_ISA
