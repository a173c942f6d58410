#include <unroll/models/interrupt.h>

#include <csignal>
#include <ctime>

namespace unroll {
namespace {

volatile std::sig_atomic_t interrupted = 0;
using Handler = void (*)(int);
Handler handler_before_int = SIG_DFL, handler_before_term = SIG_DFL, handler_before_hup = SIG_DFL,
        handler_before_pipe = SIG_DFL;
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

}  // namespace

InterruptGuard::InterruptGuard() {
  interrupted = 0;
  handler_before_int = std::signal(SIGINT, note_interrupt);
  handler_before_term = std::signal(SIGTERM, note_interrupt);
  handler_before_hup = std::signal(SIGHUP, note_interrupt);
  if (handler_before_hup == SIG_IGN) std::signal(SIGHUP, SIG_IGN);  // as nohup asks
  handler_before_pipe = std::signal(SIGPIPE, SIG_IGN);
}

InterruptGuard::~InterruptGuard() {
  std::signal(SIGINT, handler_before_int);
  std::signal(SIGTERM, handler_before_term);
  std::signal(SIGHUP, handler_before_hup);
  std::signal(SIGPIPE, handler_before_pipe);
}

bool InterruptGuard::requested() { return interrupted != 0; }

}  // namespace unroll
