#pragma once

#include <memory>

#include <unroll/models/task.h>

namespace unroll::inline UNROLL_ISA {

/// What an image shows, read row by row, pixel by pixel, or in a fixed random order of pixels (Le, Jaitly and Hinton
/// 2015): a memory over 784 steps.
std::unique_ptr<Task> pixels_task();

}  // namespace unroll::inline UNROLL_ISA
