#pragma once

#include <unroll/autograd/tape/tape.h>

namespace unroll::inline UNROLL_ISA {

/// The history as a table: node, op, shape, inputs, place in the model.
template <Real T>
std::string dump_table(const Tape<T>& tape);

struct DotOptions {
  bool views = true;  // slices and the like as nodes of their own, dashed; or else what reads them reads the whole
};

/// The history as a graph in the DOT language, for `dot -Tsvg`. Ops are round, data and parameters have corners.
template <Real T>
std::string dump_dot(const Tape<T>& tape, const DotOptions& options = {});

}  // namespace unroll::inline UNROLL_ISA
