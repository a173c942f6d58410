#pragma once

#include <unroll/models/task.h>

namespace unroll::inline UNROLL_ISA {

/// A sentence in another language: many to many, of unequal length.
std::unique_ptr<Task> translate_task();

}  // namespace unroll::inline UNROLL_ISA
