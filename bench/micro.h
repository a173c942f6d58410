#pragma once

#include <vector>

#include <nlohmann/json.hpp>

// Parts of the engine measured alone. Each returns rows of one table.

namespace unroll::bench {

using Rows = std::vector<nlohmann::ordered_json>;

/// Median of a list that is not empty.
double median(std::vector<double> values);
/// The most multiplications and additions a second that one thread reaches here, in 10^9, by independent fused
/// multiply-adds on registers.
double fma_peak();

/// Nanoseconds per node, record plus backward, of values of one element.
Rows bench_tape();
/// Nanoseconds per element, forward and backward, beside those of a copy.
Rows bench_ops();
/// Billions of operations a second of products by shape, as the library multiplies and by its own kernel.
Rows bench_gemm();
/// Seconds and megabytes to compile a file that includes an umbrella header.
Rows bench_compile();

}  // namespace unroll::bench
