#pragma once

// Every name of the library lives in an inline namespace that carries the instruction set it was compiled
// for: two translation units built with different flags then fail to link instead of sharing inline
// functions with different vector widths.
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
#define UNROLL_ISA avx512
#elif defined(__AVX2__) && defined(__FMA__)
#define UNROLL_ISA avx2
#elif defined(__AVX__)
#define UNROLL_ISA avx
#elif defined(__x86_64__)
#define UNROLL_ISA sse2
#elif defined(__aarch64__)
#define UNROLL_ISA neon64
#else
#define UNROLL_ISA generic
#endif
