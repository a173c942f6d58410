#pragma once

#include <unroll/models/data/synthetic.h>

// The synthetic tasks one by one, of no length yet: what is drawn, its text, and when it is solved.

namespace unroll::inline UNROLL_ISA::detail {

SyntheticTask adding();
SyntheticTask copy();
SyntheticTask parity();
SyntheticTask reber();
SyntheticTask embedded_reber();
SyntheticTask sine();

}  // namespace unroll::inline UNROLL_ISA::detail
