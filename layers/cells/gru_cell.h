#pragma once

#include <unroll/layers/cell.h>

namespace unroll::inline UNROLL_ISA {

/// Gated recurrent unit, reset after the product as cuDNN and PyTorch have it:
///   r = sigmoid(x Wr + br + h Ur)            reset gate
///   z = sigmoid(x Wz + bz + h Uz)            update gate
///   n = tanh   (x Wn + bn + r (h Un + cn))   candidate
///   h' = (1 - z) n + z h
/// The gates lie side by side in that order.
template <Real T = float>
struct GRUCell {
  using State = Var<T>;
  Index width;
  Linear<T> input;      // [in, 3 width]: reset, update, candidate
  Matrix<T> gates;      // [width, 2 width], orthogonal per gate at first
  Linear<T> candidate;  // [width, width], orthogonal at first

  GRUCell(Index in, Index width, Rng& rng)
      : width(width),
        input(gate_inputs<T>(in, width, 3, rng)),
        gates(init::orthogonal<T>({width, 2 * width}, rng, 2)),
        candidate(init::orthogonal<T>({width, width}, rng), make_tensor<T>({width}, T(0))) {}

  State initial(Tape<T>& tape, Index batch) const { return tape.zeros({batch, width}); }
  Var<T> project(Var<T> xs) const { return input(xs); }
  State step(Var<T> x, State h) const;
  static void fields(auto& m, auto&& f) { f("input", m.input), f("gates", m.gates), f("candidate", m.candidate); }
};

/// Gated recurrent unit, reset before the product (Cho et al. 2014, version 3, eqs. 5-8):
///   r = sigmoid(x Wr + br + h Ur),   z = sigmoid(x Wz + bz + h Uz)
///   n = tanh(x Wn + bn + (r h) Un)
///   h' = (1 - z) n + z h
template <Real T = float>
struct GRUResetBeforeCell {
  using State = Var<T>;
  Index width;
  Linear<T> input;      // [in, 3 width]: reset, update, candidate
  Matrix<T> gates;      // [width, 2 width]
  Matrix<T> candidate;  // [width, width]

  GRUResetBeforeCell(Index in, Index width, Rng& rng)
      : width(width),
        input(gate_inputs<T>(in, width, 3, rng)),
        gates(init::orthogonal<T>({width, 2 * width}, rng, 2)),
        candidate(width, width, rng) {}

  State initial(Tape<T>& tape, Index batch) const { return tape.zeros({batch, width}); }
  Var<T> project(Var<T> xs) const { return input(xs); }
  State step(Var<T> x, State h) const;
  static void fields(auto& m, auto&& f) { f("input", m.input), f("gates", m.gates), f("candidate", m.candidate); }
};

}  // namespace unroll::inline UNROLL_ISA
