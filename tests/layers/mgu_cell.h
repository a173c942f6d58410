#pragma once

#include <unroll/layers/layers.h>

namespace unroll {

/// A user's cell. Minimal gated unit: one gate decides how far the state moves towards its candidate.
template <Real T = float>
struct MGUCell {
  using State = Var<T>;
  Index width;
  Linear<T> input;
  Matrix<T> gate, candidate;

  MGUCell(Index in, Index width, Rng& rng)
      : width(width), input(in, 2 * width, rng), gate(width, width, rng), candidate(width, width, rng) {}

  State initial(Tape<T>& tape, Index batch) const { return tape.zeros({batch, width}); }
  Var<T> project(Var<T> xs) const { return input(xs); }
  State step(Var<T> x, State h) const {
    auto [xf, xc] = split<2>(x);
    Var<T> f = sigmoid(xf + gate(h));
    return h + f * (tanh(xc + candidate(f * h)) - h);
  }
  static void fields(auto& m, auto&& f) { f("input", m.input), f("gate", m.gate), f("candidate", m.candidate); }
};
static_assert(Cell<MGUCell<double>>);

}  // namespace unroll
