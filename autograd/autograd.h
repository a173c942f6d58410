#pragma once

// The engine: values, history, vocabulary, and the gradient checker.

#include <unroll/autograd/check/gradients.h>
#include <unroll/autograd/ops/attention_scores.h>
#include <unroll/autograd/ops/chain.h>
#include <unroll/autograd/ops/class_losses.h>
#include <unroll/autograd/ops/ctc.h>
#include <unroll/autograd/ops/elementwise.h>
#include <unroll/autograd/ops/layout.h>
#include <unroll/autograd/ops/linalg.h>
#include <unroll/autograd/ops/lookup.h>
#include <unroll/autograd/ops/loss.h>
#include <unroll/autograd/ops/noise.h>
#include <unroll/autograd/ops/recompute.h>
#include <unroll/autograd/ops/reduce.h>
#include <unroll/autograd/ops/scan.h>
#include <unroll/autograd/tape/dump.h>
#include <unroll/autograd/tape/fields.h>
#include <unroll/autograd/tape/predict_bytes.h>
