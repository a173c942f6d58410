#include <unroll/models/interrupt.h>

#include <csignal>

namespace unroll {
namespace {

volatile std::sig_atomic_t interrupted = 0;
using Handler = void (*)(int);
Handler handler_before_int = SIG_DFL, handler_before_term = SIG_DFL;

extern "C" void note_interrupt(int signal) {
  interrupted = 1;
  std::signal(signal, SIG_DFL);
}

}  // namespace

InterruptGuard::InterruptGuard() {
  interrupted = 0;
  handler_before_int = std::signal(SIGINT, note_interrupt);
  handler_before_term = std::signal(SIGTERM, note_interrupt);
}

InterruptGuard::~InterruptGuard() {
  std::signal(SIGINT, handler_before_int);
  std::signal(SIGTERM, handler_before_term);
}

bool InterruptGuard::requested() { return interrupted != 0; }

}  // namespace unroll
