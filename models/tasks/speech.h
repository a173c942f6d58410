#pragma once

#include <unroll/models/task.h>

namespace unroll::inline UNROLL_ISA {

/// What is said: log mel energies, a convolution, bidirectional LSTM layers and connectionist temporal classification.
std::unique_ptr<Task> speech_task();

}  // namespace unroll::inline UNROLL_ISA
