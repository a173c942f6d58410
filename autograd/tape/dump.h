#pragma once

#include <unroll/autograd/tape/tape.h>

namespace unroll::inline UNROLL_ISA {

/// The history as a table: node, op, shape, inputs, place in the model.
template <Real T>
std::string dump_table(const Tape<T>& tape);

/// The history as a graph in the DOT language, for `dot -Tsvg`. Views are dashed, parameters boxes.
template <Real T>
std::string dump_dot(const Tape<T>& tape);

}  // namespace unroll::inline UNROLL_ISA
