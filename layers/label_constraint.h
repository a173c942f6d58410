#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

namespace unroll::inline UNROLL_ISA {

/// Which paths of labels there are: which label may begin one, follow another, and end one. None given: all.
struct LabelConstraint {
  Index labels = 0;                       // 0: nothing is forbidden
  std::vector<std::uint8_t> transitions;  // [from * labels + to] 1 where allowed
  std::vector<std::uint8_t> start, end;   // [labels]

  /// All allowed, to be edited.
  static LabelConstraint all(Index labels);

  bool empty() const { return labels == 0; }
  bool allows(Index from, Index to) const { return transitions[static_cast<std::size_t>(from * labels + to)] != 0; }
  void forbid(Index from, Index to) { transitions[static_cast<std::size_t>(from * labels + to)] = 0; }
  bool may_start(Index label) const { return start[static_cast<std::size_t>(label)] != 0; }
  bool may_end(Index label) const { return end[static_cast<std::size_t>(label)] != 0; }

  /// For each number of steps 0 .. longest whether there is a path of so many; there is one of none.
  std::vector<std::uint8_t> feasible(Index longest) const;
  /// Throws ShapeError unless the masks are those of `labels` labels.
  void check() const;
};

/// The paths that spell spans in the BIO scheme (Ramshaw and Marcus 1995, as IOB2): "B-x" begins a span of the kind x,
/// "I-x" goes on with one, "O" lies outside. I-x follows B-x or I-x alone. Throws ValueError naming a label that is
/// none of these.
LabelConstraint bio_constraint(const std::vector<std::string>& names);

/// The same in the BIOES scheme: spans of several steps are B-x I-x ... E-x, those of one S-x, and no span is left
/// open. Throws ValueError naming a label that is none of these.
LabelConstraint bioes_constraint(const std::vector<std::string>& names);

}  // namespace unroll::inline UNROLL_ISA
