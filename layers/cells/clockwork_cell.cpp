#include <unroll/layers/cells/clockwork_cell.h>

namespace unroll::inline UNROLL_ISA {

template <Real T>
ClockworkCell<T>::ClockworkCell(Index in, Index width, Rng& rng, Index groups)
    : width(width), input(in, width, rng), periods(make_tensor<T>({width})) {
  require<ValueError>(groups > 0, "clockwork: {} groups", groups);
  groups = std::min(groups, width);
  for (Index k = 0; k < groups; ++k) {
    const Index first = k * width / groups, last = (k + 1) * width / groups;
    recurrent.emplace_back(width - first, last - first, rng);
    std::fill(periods.begin() + first, periods.begin() + last, static_cast<T>(Index{1} << k));
  }
}

template <Real T>
auto ClockworkCell<T>::step(Var<T> x, State s) const -> State {
  Tape<T>& tape = x.tape();
  const auto groups = static_cast<Index>(recurrent.size());
  const auto sums = tape.template room<Var<T>>(groups);
  for (Index k = 0; k < groups; ++k)
    sums[static_cast<std::size_t>(k)] =
        recurrent[static_cast<std::size_t>(k)](slice(s.h, -1, k * width / groups, width));
  const Var<T> moved = tanh(x + concat(std::span<const Var<T>>(sums)));
  const Var<T> due = less(s.clock, 0.5);
  return {where(due, moved, s.h), where(due, tape.constant(periods), s.clock) - 1};
}

template struct ClockworkCell<float>;
template struct ClockworkCell<double>;

}  // namespace unroll::inline UNROLL_ISA
