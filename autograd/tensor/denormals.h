#pragma once

#include <cstdint>

#ifdef __SSE2__
#include <immintrin.h>
#endif

#include <unroll/autograd/tensor/isa.h>

namespace unroll::inline UNROLL_ISA {

/// While one lives, denormal numbers count as zero on this thread; then the setting is again what it was. Vanishing
/// gradients end as denormals, with which a processor computes many times slower.
class FlushDenormals {
 public:
  FlushDenormals() : before_(get()) {
    if ((before_ & flags) != flags) set(before_ | flags);
  }
  ~FlushDenormals() {
    if ((before_ & flags) != flags) set(before_);
  }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
#if defined(__SSE2__)
  static constexpr std::uint64_t flags = 0x8040;  // flush to zero, denormals are zero
  static std::uint64_t get() { return _mm_getcsr(); }
  static void set(std::uint64_t mode) { _mm_setcsr(static_cast<unsigned>(mode)); }
#elif defined(__aarch64__)
  static constexpr std::uint64_t flags = std::uint64_t{1} << 24;
  static std::uint64_t get() {
    std::uint64_t mode;
    asm volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
  }
  static void set(std::uint64_t mode) { asm volatile("msr fpcr, %0" ::"r"(mode)); }
#else
  static constexpr std::uint64_t flags = 0;
  static std::uint64_t get() { return 0; }
  static void set(std::uint64_t) {}
#endif

  std::uint64_t before_;
};

}  // namespace unroll::inline UNROLL_ISA
