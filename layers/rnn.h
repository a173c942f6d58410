#pragma once

#include <unroll/layers/cells/gru_cell.h>
#include <unroll/layers/cells/lstm_cell.h>
#include <unroll/layers/cells/rnn_cell.h>
#include <unroll/layers/recurrent.h>
#include <unroll/layers/wrappers/bidirectional.h>
#include <unroll/layers/wrappers/stacked.h>

namespace unroll::inline UNROLL_ISA {

template <Real T = float>
using RNN = Recurrent<RNNCell<T>>;
template <Real T = float>
using GRU = Recurrent<GRUCell<T>>;
template <Real T = float>
using GRUResetBefore = Recurrent<GRUResetBeforeCell<T>>;
template <Real T = float>
using LSTM = Recurrent<LSTMCell<T>>;

}  // namespace unroll::inline UNROLL_ISA
