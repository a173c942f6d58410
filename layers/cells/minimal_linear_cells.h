#pragma once

#include <unroll/layers/cell.h>

namespace unroll::inline UNROLL_ISA {

/// Minimal GRU (Feng et al. 2024, section 3.1): gate and candidate see the inputs alone, so that the recurrence is
/// linear.
///   z = sigmoid(x Wz + bz),   n = x Wn + bn,   h' = (1 - z) h + z n
/// The two lie side by side in that order.
template <Real T = float>
struct MinGRUCell {
  using State = Var<T>;
  Index width;
  Linear<T> input;  // [in, 2 width]

  MinGRUCell(Index in, Index width, Rng& rng) : width(width), input(gate_inputs<T>(in, width, 2, rng)) {}

  State initial(Tape<T>& tape, Index batch) const { return tape.zeros({batch, width}); }
  Var<T> project(Var<T> xs) const { return input(xs); }
  State step(Var<T> x, State h) const;
  /// All steps at once; see Scanned.
  Var<T> scan(Var<T> projected, State& h, const ScanSteps& steps) const;
  static void fields(auto& m, auto&& f) { f("input", m.input); }
};

/// Minimal LSTM (Feng et al. 2024, section 3.2): gates as in MinGRUCell, and made to add up to one.
///   f = sigmoid(x Wf + bf),   i = sigmoid(x Wi + bi),   n = x Wn + bn
///   h' = f / (f + i) h + i / (f + i) n
/// The three lie side by side in that order.
template <Real T = float>
struct MinLSTMCell {
  using State = Var<T>;
  Index width;
  Linear<T> input;  // [in, 3 width]

  MinLSTMCell(Index in, Index width, Rng& rng) : width(width), input(gate_inputs<T>(in, width, 3, rng, 0)) {}

  State initial(Tape<T>& tape, Index batch) const { return tape.zeros({batch, width}); }
  Var<T> project(Var<T> xs) const { return input(xs); }
  State step(Var<T> x, State h) const;
  /// All steps at once; see Scanned.
  Var<T> scan(Var<T> projected, State& h, const ScanSteps& steps) const;
  static void fields(auto& m, auto&& f) { f("input", m.input); }
};

}  // namespace unroll::inline UNROLL_ISA
