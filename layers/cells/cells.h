#pragma once

// All built-in cells.

#include <unroll/layers/cells/clockwork_cell.h>
#include <unroll/layers/cells/coupled_lstm_cell.h>
#include <unroll/layers/cells/gru_cell.h>
#include <unroll/layers/cells/indrnn_cell.h>
#include <unroll/layers/cells/irnn_cell.h>
#include <unroll/layers/cells/layer_norm_gru_cell.h>
#include <unroll/layers/cells/layer_norm_lstm_cell.h>
#include <unroll/layers/cells/lstm_cell.h>
#include <unroll/layers/cells/minimal_gated_cell.h>
#include <unroll/layers/cells/minimal_linear_cells.h>
#include <unroll/layers/cells/multiplicative_lstm_cell.h>
#include <unroll/layers/cells/peephole_lstm_cell.h>
#include <unroll/layers/cells/projection_lstm_cell.h>
#include <unroll/layers/cells/qrnn_cell.h>
#include <unroll/layers/cells/rnn_cell.h>
#include <unroll/layers/cells/sru_cell.h>
#include <unroll/layers/cells/ugrnn_cell.h>
