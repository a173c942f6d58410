#pragma once

#include <unroll/layers/cell.h>

namespace unroll::inline UNROLL_ISA {

enum class Activation : std::uint8_t { tanh, relu };

/// The basic recurrent network (Elman 1990): h_t = tanh(x_t Wx + b + h_{t-1} Wh), or relu in place of tanh.
template <Real T = float>
struct RNNCell {
  using State = Var<T>;
  Index width;
  Linear<T> input;      // [in, width]
  Matrix<T> recurrent;  // [width, width], orthogonal at first
  Activation activation = Activation::tanh;

  RNNCell(Index in, Index width, Rng& rng, Activation activation = Activation::tanh)
      : width(width), input(in, width, rng), recurrent(width, width, rng), activation(activation) {}

  State initial(Tape<T>& tape, Index batch) const { return tape.zeros({batch, width}); }
  Var<T> project(Var<T> xs) const { return input(xs); }
  State step(Var<T> x, State h) const;
  static void fields(auto& m, auto&& f) { f("input", m.input), f("recurrent", m.recurrent); }
};

}  // namespace unroll::inline UNROLL_ISA
