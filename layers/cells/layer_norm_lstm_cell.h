#pragma once

#include <unroll/layers/cell.h>
#include <unroll/layers/layer_norm.h>

namespace unroll::inline UNROLL_ISA {

/// LSTM with layer normalisation (Ba, Kiros and Hinton 2016, eqs. 20-22):
///   (i, f, g, o) = LN(h U) + LN(x W),   c' = sigmoid(f) c + sigmoid(i) tanh(g),   h' = sigmoid(o) tanh(LN(c'))
/// Each LN has a gain and a bias of its own and normalises all four gates together; the bias b of the paper is that of
/// the second. The gates lie side by side in that order.
template <Real T = float>
struct LayerNormLSTMCell {
  using State = HiddenAndCell<T>;
  Index width;
  Matrix<T> input;      // [in, 4 width]
  Matrix<T> recurrent;  // [width, 4 width], orthogonal per gate at first
  LayerNorm<T> input_norm, recurrent_norm, cell_norm;

  LayerNormLSTMCell(Index in, Index width, Rng& rng)
      : width(width),
        input(init::xavier<T>({in, 4 * width}, rng, 4)),
        recurrent(init::orthogonal<T>({width, 4 * width}, rng, 4)),
        input_norm(4 * width),
        recurrent_norm(4 * width),
        cell_norm(width) {
    std::fill_n(input_norm.bias.edit().data() + width, width, T(1));
  }

  State initial(Tape<T>& tape, Index batch) const { return {tape.zeros({batch, width}), tape.zeros({batch, width})}; }
  Var<T> project(Var<T> xs) const { return input_norm(input(xs)); }
  State step(Var<T> x, State s) const;
  static void fields(auto& m, auto&& f) {
    f("input", m.input), f("recurrent", m.recurrent), f("input_norm", m.input_norm);
    f("recurrent_norm", m.recurrent_norm), f("cell_norm", m.cell_norm);
  }
};

}  // namespace unroll::inline UNROLL_ISA
