#pragma once

#include <unroll/models/data/synthetic.h>

// The synthetic tasks one by one, for sequences of so many steps: what is drawn, its text, and when it is solved.

namespace unroll::inline UNROLL_ISA::detail {

SyntheticTask adding(Index steps);
SyntheticTask copy(Index steps);
SyntheticTask parity(Index steps);
SyntheticTask reber(Index steps);
SyntheticTask embedded_reber(Index steps);
SyntheticTask sine(Index steps);

}  // namespace unroll::inline UNROLL_ISA::detail
