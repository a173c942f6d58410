#pragma once

#include <unroll/layers/cell.h>

namespace unroll::inline UNROLL_ISA {

/// LSTM with a projection of its output to fewer units (Sak, Senior and Beaufays 2014, eqs. 1-7 without peepholes and
/// without the second projection; PyTorch's proj_size): gates and cell state as in LSTMCell, and
///   h' = (o tanh(c')) P
template <Real T = float>
struct ProjectionLSTMCell {
  using State = HiddenAndCell<T>;  // h is [batch, projected], c is [batch, width]
  Index width, projected;
  Linear<T> input;       // [in, 4 width]
  Matrix<T> recurrent;   // [projected, 4 width], orthogonal per gate at first
  Matrix<T> projection;  // [width, projected]

  /// `projected` is half of the width, rounded up, if not given.
  ProjectionLSTMCell(Index in, Index width, Rng& rng, Index projected = 0)
      : width(width),
        projected(projected > 0 ? projected : (width + 1) / 2),
        input(gate_inputs<T>(in, width, 4, rng, 1)),
        recurrent(init::orthogonal<T>({this->projected, 4 * width}, rng, 4)),
        projection(width, this->projected, rng) {}

  State initial(Tape<T>& tape, Index batch) const {
    return {tape.zeros({batch, projected}), tape.zeros({batch, width})};
  }
  Var<T> project(Var<T> xs) const { return input(xs); }
  State step(Var<T> x, State s) const;
  static void fields(auto& m, auto&& f) {
    f("input", m.input), f("recurrent", m.recurrent), f("projection", m.projection);
  }
};

}  // namespace unroll::inline UNROLL_ISA
