#pragma once

#include <unroll/layers/cell.h>

namespace unroll::inline UNROLL_ISA {

/// Update-gate network (Collins, Sohl-Dickstein and Sussillo 2017, UGRNN):
///   g = sigmoid(x Wg + bg + h Ug),   n = tanh(x Wn + bn + h Un),   h' = g h + (1 - g) n
/// The gates lie side by side in that order.
template <Real T = float>
struct UGRNNCell {
  using State = Var<T>;
  Index width;
  Linear<T> input;      // [in, 2 width]
  Matrix<T> recurrent;  // [width, 2 width], orthogonal per gate at first

  UGRNNCell(Index in, Index width, Rng& rng)
      : width(width),
        input(gate_inputs<T>(in, width, 2, rng, 0)),
        recurrent(init::orthogonal<T>({width, 2 * width}, rng, 2)) {}

  State initial(Tape<T>& tape, Index batch) const { return tape.zeros({batch, width}); }
  Var<T> project(Var<T> xs) const { return input(xs); }
  State step(Var<T> x, State h) const;
  static void fields(auto& m, auto&& f) { f("input", m.input), f("recurrent", m.recurrent); }
};

}  // namespace unroll::inline UNROLL_ISA
