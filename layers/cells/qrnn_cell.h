#pragma once

#include <unroll/layers/cell.h>

namespace unroll::inline UNROLL_ISA {

/// Quasi-recurrent network with a window of two steps and fo-pooling (Bradbury et al. 2017, eqs. 2 and 4): gates are a
/// causal convolution of the inputs, so that the recurrence is linear.
///   (z, f, o) = x_{t-1} V + x_t W + b
///   c' = sigmoid(f) c + (1 - sigmoid(f)) tanh(z),   h' = sigmoid(o) c'
/// The three lie side by side in that order.
template <Real T = float>
struct QRNNCell {
  struct State {
    Var<T> h, c;    // [batch, width]
    Var<T> window;  // [batch, 3 width], x_{t-1} V
    static constexpr int memories = 2;
    static void fields(auto& s, auto&& f) { f("h", s.h), f("c", s.c), f("window", s.window); }
  };
  Index width;
  Linear<T> input;     // [in, 3 width], W and b
  Matrix<T> previous;  // [in, 3 width], V

  QRNNCell(Index in, Index width, Rng& rng)
      : width(width), input(gate_inputs<T>(in, width, 3, rng, 1)), previous(init::xavier<T>({in, 3 * width}, rng, 3)) {}

  State initial(Tape<T>& tape, Index batch) const {
    return {tape.zeros({batch, width}), tape.zeros({batch, width}), tape.zeros({batch, 3 * width})};
  }
  /// x_t W + b and x_t V: [..., 6 width].
  Var<T> project(Var<T> xs) const { return concat(input(xs), previous(xs)); }
  State step(Var<T> x, State s) const;
  /// All steps at once; see Scanned.
  Var<T> scan(Var<T> projected, State& s, const ScanSteps& steps) const;
  static void fields(auto& m, auto&& f) { f("input", m.input), f("previous", m.previous); }
};

}  // namespace unroll::inline UNROLL_ISA
