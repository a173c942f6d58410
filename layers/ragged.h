#pragma once

#include <algorithm>
#include <numeric>

#include <unroll/autograd/tape/fields.h>

namespace unroll::inline UNROLL_ISA {

/// How a batch of sequences of different lengths is packed: rows sorted by length, longest first, so that those alive
/// at step t are the first alive[t] of them; the valid steps of all rows one after the other, step by step.
/// `backwards`, step 0 of each row is its last valid one. Lives until the tape is rewound.
struct Ragged {
  std::span<Index> order;     // [batch] row of the user's batch at each place of the sorted one
  std::span<Index> rank;      // [batch] place in the sorted batch of each row of the user's
  std::span<Index> alive;     // [longest] rows that have a step t
  std::span<Index> offsets;   // [longest] where step t starts in the packed rows
  std::span<Index> packed;    // [rows] row t * batch + b of the sequence for each packed row
  std::span<Index> unpacked;  // [time * batch] packed row of each row of the sequence, -1 for padding
  Index rows = 0;             // valid steps of all rows together

  template <Real T>
  Ragged(Tape<T>& tape, std::span<const Index> lengths, Index time, bool backwards) {
    const auto batch = static_cast<Index>(lengths.size());
    const auto at = [](Index i) { return static_cast<std::size_t>(i); };
    const Index longest = batch == 0 ? 0 : *std::max_element(lengths.begin(), lengths.end());
    order = tape.template room<Index>(batch);
    rank = tape.template room<Index>(batch);
    alive = tape.template room<Index>(longest);
    offsets = tape.template room<Index>(longest);
    std::iota(order.begin(), order.end(), Index{0});
    std::sort(order.begin(), order.end(), [&](Index a, Index b) {
      return lengths[at(a)] != lengths[at(b)] ? lengths[at(a)] > lengths[at(b)] : a < b;
    });
    for (Index i = 0; i < batch; ++i) rank[at(order[at(i)])] = i;
    Index living = batch;
    for (Index t = 0; t < longest; ++t) {
      while (living > 0 && lengths[at(order[at(living - 1)])] <= t) --living;
      alive[at(t)] = living;
      offsets[at(t)] = rows;
      rows += living;
    }
    packed = tape.template room<Index>(rows);
    unpacked = tape.template room<Index>(time * batch);
    std::fill(unpacked.begin(), unpacked.end(), Index{-1});
    for (Index t = 0; t < longest; ++t)
      for (Index i = 0; i < alive[at(t)]; ++i) {
        const Index row = order[at(i)];
        const Index source = (backwards ? lengths[at(row)] - 1 - t : t) * batch + row;
        packed[at(offsets[at(t)] + i)] = source;
        unpacked[at(source)] = offsets[at(t)] + i;
      }
  }
  Index steps() const { return static_cast<Index>(alive.size()); }
};

}  // namespace unroll::inline UNROLL_ISA
