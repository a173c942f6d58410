#pragma once

#include <unroll/layers/cell.h>

namespace unroll::inline UNROLL_ISA {

/// Clockwork network (Koutnik et al. 2014, eqs. 1 and 2): groups of units with periods 1, 2, 4, ... Of group k, with
/// the period 2^k, the units move when the number of steps made is a multiple of it, and see the groups that are not
/// faster:
///   h'_k = tanh(x W_k + b_k + (h_k, h_{k+1}, ...) U_k)   when due, else h_k
template <Real T = float>
struct ClockworkCell {
  struct State {
    Var<T> h;      // [batch, width]
    Var<T> clock;  // [batch, width], steps until the unit is due
    static constexpr int memories = 1;
    static void fields(auto& s, auto&& f) { f("h", s.h), f("clock", s.clock); }
  };
  Index width;
  Linear<T> input;                   // [in, width]
  std::vector<Matrix<T>> recurrent;  // of each group: [units of it and of all slower ones, units of it]
  Tensor<T> periods;                 // [width]

  ClockworkCell(Index in, Index width, Rng& rng, Index groups = 4);

  State initial(Tape<T>& tape, Index batch) const { return {tape.zeros({batch, width}), tape.zeros({batch, width})}; }
  Var<T> project(Var<T> xs) const { return input(xs); }
  State step(Var<T> x, State s) const;
  static void fields(auto& m, auto&& f) { f("input", m.input), f("recurrent", m.recurrent); }
};

}  // namespace unroll::inline UNROLL_ISA
