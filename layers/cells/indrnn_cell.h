#pragma once

#include <unroll/layers/cell.h>

namespace unroll::inline UNROLL_ISA {

/// Independently recurrent network (Li et al. 2018, eq. 2): each unit sees of the last state only its own.
///   h' = relu(x W + b + u h)
template <Real T = float>
struct IndRNNCell {
  using State = Var<T>;
  Index width;
  Linear<T> input;         // [in, width]
  Parameter<T> recurrent;  // [width], uniform in 0 .. 1 at first

  IndRNNCell(Index in, Index width, Rng& rng)
      : width(width), input(in, width, rng), recurrent(make_tensor<T>({width})) {
    for (T& u : recurrent.edit()) u = static_cast<T>(rng.uniform());
  }

  State initial(Tape<T>& tape, Index batch) const { return tape.zeros({batch, width}); }
  Var<T> project(Var<T> xs) const { return input(xs); }
  State step(Var<T> x, State h) const;
  static void fields(auto& m, auto&& f) { f("input", m.input), f("recurrent", m.recurrent); }
};

}  // namespace unroll::inline UNROLL_ISA
