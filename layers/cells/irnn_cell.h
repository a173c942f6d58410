#pragma once

#include <unroll/layers/cells/rnn_cell.h>

namespace unroll::inline UNROLL_ISA {

/// Recurrent network of rectified linear units that starts as the identity (Le, Jaitly and Hinton 2015, section 3):
///   h' = relu(x Wx + b + h Wh), with Wh = I and b = 0 at first.
template <Real T = float>
struct IRNNCell : RNNCell<T> {
  IRNNCell(Index in, Index width, Rng& rng) : RNNCell<T>(in, width, rng, Activation::relu) {
    this->recurrent.weight.edit() = init::identity<T>(width);
    this->input.bias.edit().fill(T(0));
  }
};

}  // namespace unroll::inline UNROLL_ISA
