#pragma once

#include <unroll/autograd/ops/layout.h>

namespace unroll::inline UNROLL_ISA {

/// How many windows a sequence of each length has: one for every `stride` steps begun.
inline std::vector<Index> strided_lengths(std::span<const Index> lengths, Index stride) {
  std::vector<Index> strided(lengths.begin(), lengths.end());
  for (Index& n : strided) n = (n + stride - 1) / stride;
  return strided;
}

/// The steps that windows over a sequence [time, batch, width] see. Window t of a row sees the steps
/// t stride + first + k dilation for k = 0 .. size - 1, as far as they are valid steps of that row.
struct TimeWindows {
  Index size, stride = 1, dilation = 1, first = 0;

  /// The windows of a batch. Lives until the tape is rewound.
  struct Table {
    Index windows = 0, steps = 0;  // of all rows together, and of the longest row
    std::span<Index> seen;         // [windows * size] row of the sequence, -1 where a window reaches beyond it
    std::span<Index> unpacked;     // [steps * batch] window of each row, -1 where a row has ended
  };
  /// Throws ShapeError for lengths that do not fit, naming `op`.
  template <Real T>
  Table over(Var<T> xs, std::span<const Index> lengths, const char* op) const {
    Tape<T>& tape = xs.tape();
    const Shape shape = xs.shape();
    tape.template require<ShapeError>(shape.rank() == 3, "{}: a sequence [time, batch, width] is needed, not {}", op,
                                      shape);
    const Index time = shape[0], batch = shape[1];
    tape.template require<ShapeError>(lengths.empty() || static_cast<Index>(lengths.size()) == batch,
                                      "{}: {} lengths for the sequence {}", op, lengths.size(), shape);
    const auto length = [&](Index b) { return lengths.empty() ? time : lengths[static_cast<std::size_t>(b)]; };
    const auto count = [&](Index n) { return (n + stride - 1) / stride; };
    Table table;
    for (Index b = 0; b < batch; ++b) {
      tape.template require<ShapeError>(length(b) >= 0 && length(b) <= time,
                                        "{}: length {} of row {} in the sequence {}", op, length(b), b, shape);
      table.windows += count(length(b));
    }
    table.steps = count(time);
    table.seen = tape.template room<Index>(table.windows * size);
    table.unpacked = tape.template room<Index>(table.steps * batch);
    Index window = 0;
    auto seen = table.seen.begin();
    for (Index t = 0; t < table.steps; ++t)
      for (Index b = 0; b < batch; ++b) {
        const bool alive = t < count(length(b));
        table.unpacked[static_cast<std::size_t>(t * batch + b)] = alive ? window++ : -1;
        for (Index k = 0; alive && k < size; ++k) {
          const Index at = t * stride + first + k * dilation;
          *seen++ = at >= 0 && at < length(b) ? at * batch + b : -1;
        }
      }
    return table;
  }
};

}  // namespace unroll::inline UNROLL_ISA
