#pragma once

#include <unroll/layers/cell.h>

namespace unroll::inline UNROLL_ISA {

/// Multiplicative LSTM (Krause, Lu, Murray and Renals 2016, with the output gate outside of the tanh, and biases): the
/// recurrent weights depend on the input.
///   m = (x Wm) (h Um)
///   i = sigmoid(x Wi + bi + m Ui),   f, o likewise,   g = tanh(x Wg + bg + m Ug)
///   c' = f c + i g,   h' = o tanh(c')
/// The gates lie side by side in the order i, f, g, o.
template <Real T = float>
struct MultiplicativeLSTMCell {
  using State = HiddenAndCell<T>;
  Index width;
  Linear<T> input;             // [in, 4 width]
  Matrix<T> factor;            // [in, width], Wm
  Matrix<T> recurrent_factor;  // [width, width], Um
  Matrix<T> recurrent;         // [width, 4 width], orthogonal per gate at first

  MultiplicativeLSTMCell(Index in, Index width, Rng& rng)
      : width(width),
        input(gate_inputs<T>(in, width, 4, rng, 1)),
        factor(init::xavier<T>({in, width}, rng)),
        recurrent_factor(width, width, rng),
        recurrent(init::orthogonal<T>({width, 4 * width}, rng, 4)) {}

  State initial(Tape<T>& tape, Index batch) const { return {tape.zeros({batch, width}), tape.zeros({batch, width})}; }
  Var<T> project(Var<T> xs) const { return concat(input(xs), factor(xs)); }
  State step(Var<T> x, State s) const;
  static void fields(auto& m, auto&& f) {
    f("input", m.input), f("factor", m.factor), f("recurrent_factor", m.recurrent_factor), f("recurrent", m.recurrent);
  }
};

}  // namespace unroll::inline UNROLL_ISA
