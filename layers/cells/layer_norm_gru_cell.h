#pragma once

#include <unroll/layers/cell.h>
#include <unroll/layers/layer_norm.h>

namespace unroll::inline UNROLL_ISA {

/// GRU with layer normalisation (Ba, Kiros and Hinton 2016, eqs. 23-25):
///   (r, z) = LN(h U) + LN(x W)
///   n = tanh(LN(x Wn) + sigmoid(r) LN(h Un))
///   h' = (1 - sigmoid(z)) h + sigmoid(z) n
/// Each LN has a gain and a bias of its own. The gates lie side by side in that order.
template <Real T = float>
struct LayerNormGRUCell {
  using State = Var<T>;
  Index width;
  Matrix<T> input;      // [in, 3 width]
  Matrix<T> recurrent;  // [width, 3 width], orthogonal per gate at first
  LayerNorm<T> input_norm, input_candidate_norm, recurrent_norm, recurrent_candidate_norm;

  LayerNormGRUCell(Index in, Index width, Rng& rng)
      : width(width),
        input(init::xavier<T>({in, 3 * width}, rng, 3)),
        recurrent(init::orthogonal<T>({width, 3 * width}, rng, 3)),
        input_norm(2 * width),
        input_candidate_norm(width),
        recurrent_norm(2 * width),
        recurrent_candidate_norm(width) {}

  State initial(Tape<T>& tape, Index batch) const { return tape.zeros({batch, width}); }
  Var<T> project(Var<T> xs) const;
  State step(Var<T> x, State h) const;
  static void fields(auto& m, auto&& f) {
    f("input", m.input), f("recurrent", m.recurrent), f("input_norm", m.input_norm);
    f("input_candidate_norm", m.input_candidate_norm), f("recurrent_norm", m.recurrent_norm);
    f("recurrent_candidate_norm", m.recurrent_candidate_norm);
  }
};

}  // namespace unroll::inline UNROLL_ISA
