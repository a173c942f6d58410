#pragma once

#include <unroll/layers/cell.h>

namespace unroll::inline UNROLL_ISA {

/// Minimal gated unit (Zhou et al. 2016): one gate resets and updates.
///   f = sigmoid(x Wf + bf + h Uf),   n = tanh(x Wn + bn + (f h) Un),   h' = (1 - f) h + f n
/// The gates lie side by side in that order.
template <Real T = float>
struct MinimalGatedCell {
  using State = Var<T>;
  Index width;
  Linear<T> input;            // [in, 2 width]
  Matrix<T> gate, candidate;  // [width, width], orthogonal at first

  MinimalGatedCell(Index in, Index width, Rng& rng)
      : width(width), input(gate_inputs<T>(in, width, 2, rng)), gate(width, width, rng), candidate(width, width, rng) {}

  State initial(Tape<T>& tape, Index batch) const { return tape.zeros({batch, width}); }
  Var<T> project(Var<T> xs) const { return input(xs); }
  State step(Var<T> x, State h) const;
  static void fields(auto& m, auto&& f) { f("input", m.input), f("gate", m.gate), f("candidate", m.candidate); }
};

}  // namespace unroll::inline UNROLL_ISA
