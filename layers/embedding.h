#pragma once

#include <unroll/autograd/ops/lookup.h>
#include <unroll/layers/init.h>
#include <unroll/layers/model.h>
#include <unroll/layers/tokens.h>

namespace unroll::inline UNROLL_ISA {

/// A learned vector for each symbol. Id -1 (padding) gives zeros. Initial values normal with deviation 1 / sqrt(width).
template <Real T = float>
struct Embedding {
  Parameter<T> table;  // [symbols, width]

  Embedding(Index symbols, Index width, Rng& rng)
      : table(init::normal<T>({symbols, width}, 1 / std::sqrt(static_cast<double>(std::max<Index>(1, width))), rng)) {}

  /// [time, batch] symbols to [time, batch, width].
  Var<T> operator()(Tape<T>& tape, const Tokens& tokens) const { return lookup(tape, table, tokens.ids, tokens.shape); }
  /// Ids of any shape to [shape..., width].
  Var<T> operator()(Tape<T>& tape, std::span<const std::int32_t> ids, const Shape& shape) const {
    return lookup(tape, table, ids, shape);
  }
  static void fields(auto& m, auto&& f) { f("table", m.table); }
};

}  // namespace unroll::inline UNROLL_ISA
