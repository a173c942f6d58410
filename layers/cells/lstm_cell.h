#pragma once

#include <unroll/layers/cell.h>

namespace unroll::inline UNROLL_ISA {

/// Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers, Schmidhuber and Cummins
/// 2000):
///   i = sigmoid(x Wi + bi + h Ui)   input gate
///   f = sigmoid(x Wf + bf + h Uf)   forget gate; bf is 1 at first (Jozefowicz, Zaremba and Sutskever 2015)
///   g = tanh   (x Wg + bg + h Ug)   candidate
///   o = sigmoid(x Wo + bo + h Uo)   output gate
///   c' = f c + i g,   h' = o tanh(c')
/// The gates lie side by side in that order.
template <Real T = float>
struct LSTMCell {
  using State = HiddenAndCell<T>;
  Index width;
  Linear<T> input;      // [in, 4 width]
  Matrix<T> recurrent;  // [width, 4 width], orthogonal per gate at first

  LSTMCell(Index in, Index width, Rng& rng)
      : width(width),
        input(gate_inputs<T>(in, width, 4, rng, 1)),
        recurrent(init::orthogonal<T>({width, 4 * width}, rng, 4)) {}

  State initial(Tape<T>& tape, Index batch) const { return {tape.zeros({batch, width}), tape.zeros({batch, width})}; }
  Var<T> project(Var<T> xs) const { return input(xs); }
  State step(Var<T> x, State s) const;
  static void fields(auto& m, auto&& f) { f("input", m.input), f("recurrent", m.recurrent); }
};

}  // namespace unroll::inline UNROLL_ISA
