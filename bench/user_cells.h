#pragma once

#include <unroll/layers/layers.h>

// Cells as a user writes them: the public API and the equations, nothing else.

namespace unroll::bench {

/// Minimal gated unit (Zhou et al. 2016): f = sigmoid(x Wf + bf + h Uf), h' = h + f (tanh(x Wc + bc + (f h) Uc) - h).
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
    Var<T> f = sigmoid(addmm(xf, h, gate.weight));
    return h + f * (tanh(addmm(xc, f * h, candidate.weight)) - h);
  }
  static void fields(auto& m, auto&& f) { f("input", m.input), f("gate", m.gate), f("candidate", m.candidate); }
};

/// The LSTM, as the library has it: gates input, forget, candidate, output.
template <Real T = float>
struct UserLSTMCell {
  struct State {
    Var<T> h, c;
    static void fields(auto& s, auto&& f) { f("h", s.h), f("c", s.c); }
  };
  Index width;
  Linear<T> input;
  Matrix<T> recurrent;

  UserLSTMCell(Index in, Index width, Rng& rng)
      : width(width), input(in, 4 * width, rng), recurrent(width, 4 * width, rng) {}

  State initial(Tape<T>& tape, Index batch) const { return {tape.zeros({batch, width}), tape.zeros({batch, width})}; }
  Var<T> project(Var<T> xs) const { return input(xs); }
  State step(Var<T> x, State s) const {
    auto [i, f, g, o] = split<4>(addmm(x, s.h, recurrent.weight));
    Var<T> c = sigmoid(f) * s.c + sigmoid(i) * tanh(g);
    return {sigmoid(o) * tanh(c), c};
  }
  static void fields(auto& m, auto&& f) { f("input", m.input), f("recurrent", m.recurrent); }
};

/// LSTM with diagonal peepholes (Gers, Schraudolph and Schmidhuber 2002): the input and forget gates see the old cell
/// state, the output gate the new one.
template <Real T = float>
struct PeepholeCell {
  using State = typename UserLSTMCell<T>::State;
  Index width;
  Linear<T> input;
  Matrix<T> recurrent;
  Parameter<T> peep_i, peep_f, peep_o;

  PeepholeCell(Index in, Index width, Rng& rng)
      : width(width),
        input(in, 4 * width, rng),
        recurrent(width, 4 * width, rng),
        peep_i(init::normal<T>({width}, 0.1, rng)),
        peep_f(init::normal<T>({width}, 0.1, rng)),
        peep_o(init::normal<T>({width}, 0.1, rng)) {}

  State initial(Tape<T>& tape, Index batch) const { return {tape.zeros({batch, width}), tape.zeros({batch, width})}; }
  Var<T> project(Var<T> xs) const { return input(xs); }
  State step(Var<T> x, State s) const {
    auto [i, f, g, o] = split<4>(addmm(x, s.h, recurrent.weight));
    Var<T> c = sigmoid(f + peep_f * s.c) * s.c + sigmoid(i + peep_i * s.c) * tanh(g);
    return {sigmoid(o + peep_o * c) * tanh(c), c};
  }
  static void fields(auto& m, auto&& f) {
    f("input", m.input), f("recurrent", m.recurrent), f("peep_i", m.peep_i), f("peep_f", m.peep_f),
        f("peep_o", m.peep_o);
  }
};

}  // namespace unroll::bench
