#pragma once

#include <unroll/models/task.h>

namespace unroll::inline UNROLL_ISA {

/// Nucleotides: many to one the class of a sequence (splice junctions, promoters), many to many the next of a genome.
std::unique_ptr<Task> dna_task();

}  // namespace unroll::inline UNROLL_ISA
