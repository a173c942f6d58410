#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

// What stands on recurrent states: CTC, a linear-chain CRF, and beam search.

namespace unroll::bench {

/// Something to time: step() does it once and returns a number that peers must agree on.
struct StructuredCase {
  std::string name, what;
  /// Writes weights and data as a safetensors file, for the peers.
  std::function<void(const std::string& file)> save;
  std::function<double()> step;
};

/// `ctc`: loss and gradient at batch 32, 200 steps, 32 classes, 40 labels; `crf`: the same at batch 32, 40 steps, 9
/// labels; `beam`: a beam of 5 over 16 sources, an LSTM of 256 with 1000 symbols, 30 steps.
StructuredCase structured_case(const std::string& name);
const std::vector<std::string>& structured_case_names();

}  // namespace unroll::bench
