#pragma once

// Optimizers, schedules and averaging, which see parameters, never layers; and batches in parts, on several threads.

#include <unroll/optim/adagrad.h>
#include <unroll/optim/adam.h>
#include <unroll/optim/averaging.h>
#include <unroll/optim/rmsprop.h>
#include <unroll/optim/schedule.h>
#include <unroll/optim/sgd.h>
#include <unroll/optim/shards.h>
