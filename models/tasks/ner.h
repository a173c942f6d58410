#pragma once

#include <unroll/models/task.h>

namespace unroll::inline UNROLL_ISA {

/// The names in a sentence, by the tag of each token: many to many of equal length.
std::unique_ptr<Task> ner_task();

}  // namespace unroll::inline UNROLL_ISA
