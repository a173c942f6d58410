#pragma once

#include <unroll/layers/cell.h>

namespace unroll::inline UNROLL_ISA {

/// LSTM whose input gate is what the forget gate leaves (Greff et al. 2017, variant CIFG, without peepholes):
///   f = sigmoid(x Wf + bf + h Uf),   g = tanh(x Wg + bg + h Ug),   o = sigmoid(x Wo + bo + h Uo)
///   c' = f c + (1 - f) g,   h' = o tanh(c')
/// The gates lie side by side in that order.
template <Real T = float>
struct CoupledLSTMCell {
  using State = HiddenAndCell<T>;
  Index width;
  Linear<T> input;      // [in, 3 width]
  Matrix<T> recurrent;  // [width, 3 width], orthogonal per gate at first

  CoupledLSTMCell(Index in, Index width, Rng& rng)
      : width(width),
        input(gate_inputs<T>(in, width, 3, rng, 0)),
        recurrent(init::orthogonal<T>({width, 3 * width}, rng, 3)) {}

  State initial(Tape<T>& tape, Index batch) const { return {tape.zeros({batch, width}), tape.zeros({batch, width})}; }
  Var<T> project(Var<T> xs) const { return input(xs); }
  State step(Var<T> x, State s) const;
  static void fields(auto& m, auto&& f) { f("input", m.input), f("recurrent", m.recurrent); }
};

}  // namespace unroll::inline UNROLL_ISA
