#pragma once

#include <unroll/models/task.h>

namespace unroll::inline UNROLL_ISA {

/// Which activity a clip shows, from the positions of joints in each frame: many to one.
std::unique_ptr<Task> video_task();

}  // namespace unroll::inline UNROLL_ISA
