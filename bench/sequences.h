#pragma once

#include <micro.h>
#include <unroll/autograd/tensor/shape.h>

// Long sequences: segments that are computed again, and recurrences as one scan.

namespace unroll::bench {

/// Forward and backward of a character model (one LSTM layer of 128, batch 32, 64 symbols, loss at every step) over
/// `steps`, in segments of which only the state between them is kept; segment 0: none, a plain tape. With `predict`,
/// only what memory it will take.
Rows bench_long(Index steps, Index segment, bool predict);
/// Forward and backward of the cells whose recurrence is linear, step by step and as one scan.
Rows bench_scan();

}  // namespace unroll::bench
