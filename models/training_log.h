#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <unroll/models/report.h>

namespace unroll::inline UNROLL_ISA {

/// The curves of a training in a folder: `metrics.csv`, with the lines step,name,value, and an event file for
/// TensorBoard.
class TrainingLog {
 public:
  /// Makes the folder. Throws FileError when it or its files cannot be written. An empty name writes nothing. The table
  /// is begun anew, or goes on.
  explicit TrainingLog(const std::string& folder, bool goes_on = false);
  void scalar(Index step, const std::string& name, double value);
  /// All numbers among the fields, under "prefix/name".
  void scalars(Index step, const std::string& prefix, const Fields& fields);

 private:
  struct Close {
    void operator()(std::FILE* f) const { std::fclose(f); }
  };
  using File = std::unique_ptr<std::FILE, Close>;
  File csv_, events_;
};

/// Draws the curves of such a folder, and returns the name of the SVG file. Throws FileError.
std::string plot_training(const std::string& folder, const std::string& svg);

}  // namespace unroll::inline UNROLL_ISA
