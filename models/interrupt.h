#pragma once

namespace unroll {

/// Makes Ctrl-C, SIGTERM and a terminal that is closed set a flag instead of ending the process; another one, a second
/// or more later, ends it. Meanwhile a standard output that nobody reads any more is no reason to end.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
  static bool requested();
};

}  // namespace unroll
