#pragma once

#include <unroll/layers/embedding.h>
#include <unroll/layers/linear.h>

namespace unroll::inline UNROLL_ISA {

/// An embedding whose table is the output layer too (Press and Wolf 2017; Inan, Khosravi and Socher 2017): logits are
/// h E^T + b. There is one parameter, to whose gradient both uses add.
template <Real T = float>
struct TiedEmbedding {
  Embedding<T> embedding;
  Parameter<T> bias;  // [symbols]

  TiedEmbedding(Index symbols, Index width, Rng& rng)
      : embedding(symbols, width, rng), bias(make_tensor<T>({symbols}, T(0))) {}

  /// [time, batch] symbols to [time, batch, width].
  Var<T> operator()(Tape<T>& tape, const Tokens& tokens) const { return embedding(tape, tokens); }
  /// Ids of any shape to [shape..., width].
  Var<T> operator()(Tape<T>& tape, std::span<const std::int32_t> ids, const Shape& shape) const {
    return embedding(tape, ids, shape);
  }
  /// [..., width] to [..., symbols].
  Var<T> logits(Var<T> h) const { return matmul(h, embedding.table, {.b = true}) + bias; }
  static void fields(auto& m, auto&& f) { f("embedding", m.embedding), f("bias", m.bias); }
};

/// Cross entropy of the logits of h without holding them: for large vocabularies.
template <Real T, class H>
Var<T> cross_entropy(const TiedEmbedding<T>& words, const H& h, std::span<const std::int32_t> targets,
                     const CrossEntropyOptions& options = {}) {
  return linear_cross_entropy(Var<T>(h), words.embedding.table, words.bias, targets, options, {.b = true});
}

}  // namespace unroll::inline UNROLL_ISA
