#pragma once

#include <unroll/models/task.h>

namespace unroll::inline UNROLL_ISA {

/// `sentiment`: what a text thinks of something, from reviews in a table or from trees whose phrases have labels.
std::unique_ptr<Task> sentiment_task();

}  // namespace unroll::inline UNROLL_ISA
