#pragma once

#include <functional>
#include <string>
#include <vector>

#include <unroll/autograd/tape/tape.h>

namespace unroll::inline UNROLL_ISA {

/// A gradient, entry by entry, that central differences contradict.
struct GradientMismatch {
  std::string parameter;  // path of the parameter, or "(unnamed)"
  std::string index;      // such as "[2, 0]"
  double analytic = 0, numeric = 0;
  double error = 0;  // relative to the larger of the two and of `scale`
};

/// What check_gradients found; true when all is well.
struct GradientReport {
  bool passed = true;
  Index entries = 0;            // compared one by one
  double worst_projection = 0;  // relative error along random directions
  GradientMismatch worst;
  std::vector<std::string> problems;  // sentences

  explicit operator bool() const { return passed; }
  std::string text() const;
};

struct GradientCheckOptions {
  double tolerance = 1e-6;     // relative; absolute errors count against the largest gradient of the parameter
  double step = 0;             // of the differences; 0: chosen by the size of each entry, and smaller where that fails
  int projections = 3;         // random directions
  Index most_entries = 20000;  // per parameter; of a larger one a random part is checked entry by entry
  bool may_be_unused = false;  // a listed parameter on which the loss does not depend is no failure
  std::uint64_t seed = 0;      // of the tape (dropout) and of the directions
};

/// A scalar computed on the tape it is given, the same each time.
using ScalarProgram = std::function<Var<double>(Tape<double>&)>;

/// Compares the gradients of `loss` with fourth-order central differences, along random directions and entry by entry.
/// Fails when one is off by more than the tolerance; when the tape touched a parameter that is not listed
/// (a field that was forgotten would silently never be trained); when the loss does not depend on a
/// listed one; and when the loss is not finite or not the same each time.
GradientReport check_gradients(const ScalarProgram& loss, const std::vector<Parameter<double>*>& parameters,
                               const GradientCheckOptions& options = {});

}  // namespace unroll::inline UNROLL_ISA
