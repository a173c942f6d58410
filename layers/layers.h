#pragma once

// Everything a sequence model is built from.

#include <unroll/autograd/autograd.h>
#include <unroll/layers/cells/any_cell.h>
#include <unroll/layers/cells/cells.h>
#include <unroll/layers/crf.h>
#include <unroll/layers/embedding.h>
#include <unroll/layers/free_running.h>
#include <unroll/layers/init.h>
#include <unroll/layers/inspect.h>
#include <unroll/layers/layer_norm.h>
#include <unroll/layers/linear.h>
#include <unroll/layers/model.h>
#include <unroll/layers/pooling.h>
#include <unroll/layers/rnn.h>
#include <unroll/layers/sequential.h>
#include <unroll/layers/tbptt.h>
#include <unroll/layers/time_convolution.h>
#include <unroll/layers/tokens.h>
#include <unroll/layers/tree_lstm.h>
#include <unroll/layers/wrappers/checkpointed.h>
#include <unroll/layers/wrappers/drop_connect.h>
#include <unroll/layers/wrappers/learned_initial.h>
#include <unroll/layers/wrappers/normalized.h>
#include <unroll/layers/wrappers/recurrent_dropout.h>
#include <unroll/layers/wrappers/residual.h>
#include <unroll/layers/wrappers/reversed.h>
#include <unroll/layers/wrappers/skip_steps.h>
#include <unroll/layers/wrappers/zoneout.h>
