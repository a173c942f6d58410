#pragma once

#include <cstdint>
#include <span>

#include <unroll/autograd/tensor/shape.h>

namespace unroll::inline UNROLL_ISA::detail {

/// Where logits stand, for messages: `step` and `row` are left out where they are -1. A symbol that must not be chosen
/// at this step is `forbidden`, or -1.
struct LogitsPlace {
  const char* op;
  Index row = -1, step = -1;
  std::int32_t forbidden = -1;
};

/// Logits are looked through in blocks of so many: the largest of a block says whether any of it can matter.
inline constexpr Index logits_block = 256;
inline Index logits_blocks(Index count) { return (count + logits_block - 1) / logits_block; }

/// log of the sum of e^x over a row of logits, among which -infinity is a forbidden symbol. Leaves the largest of each
/// block in `largest`, if it is given. Throws ValueError where a logit is NaN or +infinity, or no symbol is allowed.
template <Real T>
double log_partition(std::span<const T> logits, const LogitsPlace& place, T* largest = nullptr);

}  // namespace unroll::inline UNROLL_ISA::detail
