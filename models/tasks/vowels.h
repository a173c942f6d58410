#pragma once

#include <unroll/models/task.h>

namespace unroll::inline UNROLL_ISA {

/// Which speaker says a vowel, from cepstra of linear prediction (the Japanese vowels of Kudo, Toyama and Shimbo 1999):
/// many to one.
std::unique_ptr<Task> vowels_task();

}  // namespace unroll::inline UNROLL_ISA
