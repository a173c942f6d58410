#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <unroll/autograd/tensor/rng.h>

namespace unroll::inline UNROLL_ISA {

inline constexpr std::string_view reber_symbols = "BTSXVPE";

/// A string of the Reber grammar (Reber 1967), or an embedded one: between two equal symbols, T or P (Fahlman 1991).
struct ReberString {
  std::vector<std::int32_t> symbols;
  std::vector<std::uint32_t> allowed;  // a bit for each symbol that may stand at that place
};

ReberString draw_reber(Rng& rng, bool embedded);

/// Throws ValueError, saying what may stand there instead, for what is no such string, or, unless it has to be `whole`,
/// no beginning of one.
ReberString parse_reber(std::string_view text, bool embedded, bool whole);

}  // namespace unroll::inline UNROLL_ISA
