#pragma once

#include <unroll/autograd/tape/tape.h>

namespace unroll::inline UNROLL_ISA {

/// Bytes that a tape will take for forward and backward over `steps` steps, known from two short runs:
/// program(tape, n) computes the loss of n steps. Memory grows by as much from each `unit` steps to the next: a segment
/// of Checkpointed, otherwise any number. No parameter's gradient is touched. Throws ValueError unless both are
/// positive.
///
///   const auto bytes = predict_bytes([&](Tape<>& tape, Index n) { return model.loss(tape, text.part(0, n)); },
///   100'000);
template <Real T = float, class Program>
std::size_t predict_bytes(Program program, Index steps, Index unit = 16) {
  unroll::require<ValueError>(steps > 0 && unit > 0, "predict_bytes: {} steps in units of {}", steps, unit);
  Tape<T> tape;
  Gradients<T> gradients;
  const auto measure = [&](Index n) {
    tape.rewind();
    tape.backward(program(tape, n), gradients);
    return static_cast<double>(tape.bytes());
  };
  if (steps <= 4 * unit) return static_cast<std::size_t>(measure(steps));
  // The first unit is not like the others: what one op alone computes for all steps is not shared out.
  const double few = measure(2 * unit), more = measure(4 * unit);
  const double units = static_cast<double>((steps + unit - 1) / unit);
  return static_cast<std::size_t>(few + (more - few) / 2 * (units - 2));
}

}  // namespace unroll::inline UNROLL_ISA
