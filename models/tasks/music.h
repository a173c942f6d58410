#pragma once

#include <unroll/models/task.h>

namespace unroll::inline UNROLL_ISA {

/// Which notes sound next, from a piece so far, and pieces of its own, as MIDI files: one to many.
std::unique_ptr<Task> music_task();

}  // namespace unroll::inline UNROLL_ISA
