#include <unroll/models/interrupt.h>

#include <csignal>
#include <ctime>

namespace unroll {
namespace {

volatile std::sig_atomic_t interrupted = 0;
std::timespec first_time;

/// One Ctrl-C may arrive twice, from the terminal and from a program that passes it on.
extern "C" void note_interrupt(int signal) {
  std::timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (interrupted == 0) {
    first_time = now;
    interrupted = 1;
  } else if (static_cast<double>(now.tv_sec - first_time.tv_sec) +
                 1e-9 * static_cast<double>(now.tv_nsec - first_time.tv_nsec) >=
             1) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

using Handler = void (*)(int);
struct Handled {
  int signal;
  Handler handler, before = SIG_DFL;
};
Handled all_handled[] = {
    {SIGINT, note_interrupt}, {SIGTERM, note_interrupt}, {SIGHUP, note_interrupt}, {SIGPIPE, SIG_IGN}};

}  // namespace

InterruptGuard::InterruptGuard() {
  interrupted = 0;
  for (auto& [signal, handler, before] : all_handled) {
    before = std::signal(signal, handler);
    if (signal == SIGHUP && before == SIG_IGN) std::signal(signal, SIG_IGN);  // as nohup asks
  }
}

InterruptGuard::~InterruptGuard() {
  for (const Handled& handled : all_handled) std::signal(handled.signal, handled.before);
}

bool InterruptGuard::requested() { return interrupted != 0; }

}  // namespace unroll
