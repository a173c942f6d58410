#pragma once

#include <unroll/layers/cell.h>

namespace unroll::inline UNROLL_ISA {

/// LSTM with peepholes (Gers, Schraudolph and Schmidhuber 2002; with the tanh of the output as Graves 2013, eqs. 7-11):
/// each gate also sees the cell state, each of its units that of its own cell (the weights are diagonal).
///   i = sigmoid(x Wi + bi + h Ui + pi c),   f = sigmoid(x Wf + bf + h Uf + pf c),   g = tanh(x Wg + bg + h Ug)
///   c' = f c + i g
///   o = sigmoid(x Wo + bo + h Uo + po c'),   h' = o tanh(c')
/// The gates lie side by side in the order i, f, g, o.
template <Real T = float>
struct PeepholeLSTMCell {
  using State = HiddenAndCell<T>;
  Index width;
  Linear<T> input;                      // [in, 4 width]
  Matrix<T> recurrent;                  // [width, 4 width], orthogonal per gate at first
  Parameter<T> peep_i, peep_f, peep_o;  // [width]

  PeepholeLSTMCell(Index in, Index width, Rng& rng)
      : width(width),
        input(gate_inputs<T>(in, width, 4, rng, 1)),
        recurrent(init::orthogonal<T>({width, 4 * width}, rng, 4)),
        peep_i(init::normal<T>({width}, 0.1, rng)),
        peep_f(init::normal<T>({width}, 0.1, rng)),
        peep_o(init::normal<T>({width}, 0.1, rng)) {}

  State initial(Tape<T>& tape, Index batch) const { return {tape.zeros({batch, width}), tape.zeros({batch, width})}; }
  Var<T> project(Var<T> xs) const { return input(xs); }
  State step(Var<T> x, State s) const;
  static void fields(auto& m, auto&& f) {
    f("input", m.input), f("recurrent", m.recurrent), f("peep_i", m.peep_i), f("peep_f", m.peep_f);
    f("peep_o", m.peep_o);
  }
};

}  // namespace unroll::inline UNROLL_ISA
