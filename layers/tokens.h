#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

namespace unroll::inline UNROLL_ISA {

/// A batch of token sequences, time-major: the id of step t of row b is ids[t * batch + b], -1 is
/// padding. The fields may be refilled in place; the constructors check that they fit together.
struct Tokens {
  Shape shape{0, 0};              // [time, batch]
  std::vector<std::int32_t> ids;  // [time * batch]
  std::vector<Index> lengths;     // [batch] valid steps of each row; empty when all rows are full

  Tokens() = default;
  /// Throws ShapeError unless there is an id for every element of `shape` = [time, batch], and no
  /// lengths or one in 0..time for each row.
  Tokens(const Shape& shape, std::vector<std::int32_t> ids, std::vector<Index> lengths = {})
      : shape(shape), ids(std::move(ids)), lengths(std::move(lengths)) {
    check();
  }
  Tokens(Index time, Index batch, std::vector<std::int32_t> ids, std::vector<Index> lengths = {})
      : Tokens(Shape{time, batch}, std::move(ids), std::move(lengths)) {}

  /// One row for each sequence, padded with -1 to the longest; `lengths` are set when they differ.
  static Tokens batch(const std::vector<std::vector<std::int32_t>>& sequences) {
    std::size_t longest = 0;
    for (const auto& sequence : sequences) longest = std::max(longest, sequence.size());
    const std::size_t rows = sequences.size();
    Tokens tokens;
    tokens.shape = {static_cast<Index>(longest), static_cast<Index>(rows)};
    tokens.ids.assign(longest * rows, -1);
    bool ragged = false;
    for (std::size_t b = 0; b < rows; ++b) {
      for (std::size_t t = 0; t < sequences[b].size(); ++t) tokens.ids[t * rows + b] = sequences[b][t];
      tokens.lengths.push_back(static_cast<Index>(sequences[b].size()));
      ragged = ragged || sequences[b].size() != longest;
    }
    if (!ragged) tokens.lengths.clear();
    return tokens;
  }

  Index time() const { return shape[0]; }
  Index batch_size() const { return shape[1]; }

  /// The ids, so that a batch can be passed as the targets of a loss.
  operator std::span<const std::int32_t>() const { return ids; }

 private:
  void check() const {
    require<ShapeError>(shape.rank() == 2, "tokens: the shape is [time, batch], not {}", shape);
    require<ShapeError>(static_cast<Index>(ids.size()) == shape.size(), "tokens: {} ids for {}", ids.size(), shape);
    require<ShapeError>(lengths.empty() || static_cast<Index>(lengths.size()) == batch_size(),
                        "tokens: {} lengths for {} rows", lengths.size(), batch_size());
    for (std::size_t b = 0; b < lengths.size(); ++b)
      require<ShapeError>(lengths[b] >= 0 && lengths[b] <= time(), "tokens: length {} of row {} in {}", lengths[b], b,
                          shape);
  }
};

}  // namespace unroll::inline UNROLL_ISA
