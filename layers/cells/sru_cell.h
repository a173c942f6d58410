#pragma once

#include <unroll/layers/cell.h>

namespace unroll::inline UNROLL_ISA {

/// Simple recurrent unit (Lei, Zhang and Artzi 2017, first version, eqs. 3-7, with g = tanh): its gates see the inputs
/// alone, so that the recurrence is linear.
///   z = x W,   f = sigmoid(x Wf + bf),   r = sigmoid(x Wr + br)
///   c' = f c + (1 - f) z
///   h' = r tanh(c') + (1 - r) x
/// The gates lie side by side in that order. Where there are not as many inputs as units, x V takes the place of the
/// last x.
template <Real T = float>
struct SRUCell {
  using State = HiddenAndCell<T>;
  Index width;
  Linear<T> gates;                // [in, 2 width]: forget, reset
  Matrix<T> input;                // [in, width]
  std::optional<Matrix<T>> skip;  // [in, width]

  SRUCell(Index in, Index width, Rng& rng)
      : width(width), gates(gate_inputs<T>(in, width, 2, rng, 0)), input(init::xavier<T>({in, width}, rng)) {
    if (in != width) skip.emplace(init::xavier<T>({in, width}, rng));
  }

  State initial(Tape<T>& tape, Index batch) const { return {tape.zeros({batch, width}), tape.zeros({batch, width})}; }
  /// Candidate, forget gate, reset gate, skip: [..., 4 width].
  Var<T> project(Var<T> xs) const { return concat(input(xs), gates(xs), skip ? (*skip)(xs) : xs); }
  State step(Var<T> x, State s) const;
  /// All steps at once; see Scanned.
  Var<T> scan(Var<T> projected, State& s, const ScanSteps& steps) const;
  static void fields(auto& m, auto&& f) { f("gates", m.gates), f("input", m.input), f("skip", m.skip); }
};

}  // namespace unroll::inline UNROLL_ISA
