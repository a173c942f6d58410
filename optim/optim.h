#pragma once

// Optimizers, schedules and averaging. They see parameters, never layers.

#include <unroll/optim/adagrad.h>
#include <unroll/optim/adam.h>
#include <unroll/optim/averaging.h>
#include <unroll/optim/rmsprop.h>
#include <unroll/optim/schedule.h>
#include <unroll/optim/sgd.h>
