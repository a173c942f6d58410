#pragma once

#include <unroll/layers/layers.h>

namespace unroll::inline UNROLL_ISA {

/// The extents of a language model.
struct LanguageShape {
  Index symbols = 0;
  Index embed = 64, hidden = 256, layers = 2;
  double dropout = 0;
  std::string cell = "lstm";  // one of cell_names()
};

/// The next symbol of a text from those before it: embedding, recurrent layers, logits. Many to many, equal length.
struct LanguageModel {
  using Layers = Stacked<Recurrent<AnyCell<>>>;
  using State = Layers::State;

  Embedding<> embed;
  Layers rnn;
  Linear<> head;

  LanguageModel(const LanguageShape& s, Rng& rng)
      : embed(s.symbols, s.embed, rng),
        rnn(s.embed, s.hidden, s.layers, rng, s.dropout, s.cell),
        head(rnn.width(), s.symbols, rng) {}

  State initial(Tape<>& tape, Index batch) const { return rnn.initial(tape, batch); }

  /// What the head reads: [time, batch, hidden], with dropout while training.
  Unrolled<float, State> read(Tape<>& tape, const Tokens& inputs, const State& state) const {
    auto [hs, last] = rnn(embed(tape, inputs), state);
    return {dropout(hs, rnn.dropout_rate), last};
  }

  /// Mean cross entropy of the targets in nats, and the state to go on from.
  std::pair<Var<>, State> loss(Tape<>& tape, const Tokens& inputs, const Tokens& targets, const State& state) const {
    const auto [hs, last] = read(tape, inputs, state);
    constexpr Index large_vocabulary = 2048;  // from here on logits are formed a few rows at a time
    const Var<> value = head.bias.shape().size() >= large_vocabulary ? cross_entropy(head, hs, targets.ids)
                                                                     : Var<>(cross_entropy(head(hs), targets.ids));
    return {value, last};
  }

  /// Logits of the symbol after `id`, and the state to go on from, for one text.
  std::pair<Var<>, State> next(Tape<>& tape, std::int32_t id, const State& state) const {
    const State after = rnn.step(embed(tape, std::span<const std::int32_t>(&id, 1), Shape{1}), state);
    return {head(top_of<float>(after)), after};
  }

  static void fields(auto& m, auto&& f) { f("embed", m.embed), f("rnn", m.rnn), f("head", m.head); }
};

}  // namespace unroll::inline UNROLL_ISA
