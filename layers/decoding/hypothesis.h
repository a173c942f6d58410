#pragma once

#include <cstdint>
#include <vector>

#include <unroll/autograd/tensor/tensor.h>

namespace unroll::inline UNROLL_ISA {

/// What a decoder found for a row.
struct Hypothesis {
  std::vector<std::int32_t> tokens;  // without the end symbol
  double log_probability = 0;        // of the tokens, and of the end symbol if it came, under the model, in nats
  double score = 0;                  // what the decoder ranks by
  bool ended = false;                // the end symbol came; else the steps were used up
  Tensor<double> attention;          // [steps, source]: the weights with which each symbol was chosen, if the step gave
                                     // any; one row more than tokens where the end symbol came
};

}  // namespace unroll::inline UNROLL_ISA
