#pragma once

// Everything a sequence model is built from.

#include <unroll/autograd/autograd.h>
#include <unroll/layers/embedding.h>
#include <unroll/layers/init.h>
#include <unroll/layers/layer_norm.h>
#include <unroll/layers/learned_initial.h>
#include <unroll/layers/linear.h>
#include <unroll/layers/model.h>
#include <unroll/layers/pooling.h>
#include <unroll/layers/rnn.h>
#include <unroll/layers/sequential.h>
#include <unroll/layers/tokens.h>
