#pragma once

#include <string>

#include <unroll/models/report.h>

namespace unroll::inline UNROLL_ISA {

struct Demo {
  std::string root = ".";  // folder whose sources and documents are the text
  std::string out = "demo.safetensors";
  double seconds = 60;
  int threads = 2;
};

/// Trains a character LSTM on the project's own sources and documents, validates it against n-gram models, prints a
/// sample. Returns false if interrupted.
bool run_demo(const Demo& options, Report& report);

}  // namespace unroll::inline UNROLL_ISA
