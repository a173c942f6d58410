#pragma once

#include <unroll/layers/layers.h>

namespace unroll::inline UNROLL_ISA {

/// The extents of a language model, and what is dropped while it trains.
struct LanguageShape {
  Index symbols = 0;
  Index embed = 64, hidden = 256, layers = 2;
  double dropout = 0;
  std::string cell = "lstm";  // one of cell_names()
  double dropout_input = 0, dropout_recurrent = 0;
  bool locked = false;  // one mask for all steps of a window (Gal and Ghahramani 2016)
  bool tied = false;    // the embedding is the output layer (Press and Wolf 2017): then hidden is embed
};

/// The output layer: logits h W + b. W is its own, or the transposed table of the embedding.
struct LanguageHead {
  std::optional<Parameter<>> weight;  // [hidden, symbols]
  Parameter<> bias;                   // [symbols]

  LanguageHead(Index hidden, Index symbols, bool tied, Rng& rng) : bias(make_tensor<float>({symbols}, 0.0F)) {
    if (tied) return;
    Linear<> linear(hidden, symbols, rng);
    weight.emplace(linear.weight.value());
    bias.edit() = linear.bias.value();
  }
  static void fields(auto& m, auto&& f) { f("weight", m.weight), f("bias", m.bias); }
};

/// The next symbol of a text from those before it: embedding, recurrent layers, logits. Many to many, equal length.
struct LanguageModel {
  using Layers = Stacked<Recurrent<AnyCell<>>>;
  using State = Layers::State;

  Embedding<> embed;
  Layers rnn;
  LanguageHead head;
  double dropout_input, dropout_recurrent;
  bool locked;

  LanguageModel(const LanguageShape& s, Rng& rng)
      : embed(s.symbols, s.embed, rng),
        rnn(s.embed, s.hidden, s.layers, rng, s.dropout, s.cell),
        head(rnn.width(), s.symbols, s.tied, rng),
        dropout_input(s.dropout_input),
        dropout_recurrent(s.dropout_recurrent),
        locked(s.locked) {
    require<ValueError>(!s.tied || rnn.width() == s.embed,
                        "language model: a tied embedding of width {} below layers of width {}", s.embed, rnn.width());
  }

  State initial(Tape<>& tape, Index batch) const { return rnn.initial(tape, batch); }

  /// What the head reads: [time, batch, hidden], with dropout while training.
  Unrolled<float, State> read(Tape<>& tape, const Tokens& inputs, const State& state) const {
    Var<> xs = drop(embed(tape, inputs), dropout_input);
    const auto thinned = thin(tape);
    State last;
    for (std::size_t i = 0; i < rnn.layers.size(); ++i) {
      const auto unrolled = rnn.layers[i](xs, state[i]);
      xs = drop(unrolled.outputs, rnn.dropout_rate);
      last.push_back(unrolled.last);
    }
    return {xs, last};
  }

  /// [..., hidden] to [..., symbols].
  Var<> logits(Var<> h) const { return head.weight ? affine(h, *head.weight, head.bias) : tied_logits(h); }

  /// Mean cross entropy of the targets in nats, and the state to go on from.
  std::pair<Var<>, State> loss(Tape<>& tape, const Tokens& inputs, const Tokens& targets, const State& state) const {
    const auto [hs, last] = read(tape, inputs, state);
    constexpr Index large_vocabulary = 2048;  // from here on logits are formed a few rows at a time
    if (head.bias.shape().size() < large_vocabulary) return {Var<>(cross_entropy(logits(hs), targets.ids)), last};
    if (head.weight) return {Var<>(linear_cross_entropy(hs, *head.weight, head.bias, targets.ids)), last};
    return {Var<>(linear_cross_entropy(hs, embed.table, head.bias, targets.ids, {}, {.b = true})), last};
  }

  /// Logits of the symbol after `id`, and the state to go on from, for one text.
  std::pair<Var<>, State> next(Tape<>& tape, std::int32_t id, const State& state) const {
    const State after = rnn.step(embed(tape, std::span<const std::int32_t>(&id, 1), Shape{1}), state);
    return {logits(top_of<float>(after)), after};
  }

  static void fields(auto& m, auto&& f) { f("embed", m.embed), f("rnn", m.rnn), f("head", m.head); }

 private:
  Var<> tied_logits(Var<> h) const { return matmul(h, embed.table, {.b = true}) + head.bias; }
  Var<> drop(Var<> xs, double rate) const { return locked ? dropout_over_time(xs, rate) : dropout(xs, rate); }

  /// Recurrent weights with elements left out, the same for all steps of the window (Merity, Keskar and Socher 2018).
  std::optional<Tape<>::Substitution> thin(Tape<>& tape) const {
    if (!tape.training() || dropout_recurrent == 0) return std::nullopt;
    std::vector<const Parameter<>*> matrices;
    for_each_parameter(rnn, [&](const std::string& path, const Parameter<>& p) {
      if (p.shape().rank() == 2 && !path.ends_with("/input/weight")) matrices.push_back(&p);
    });
    return std::optional<Tape<>::Substitution>(std::in_place, tape, std::move(matrices),
                                               [rate = dropout_recurrent](Var<> w) { return dropout(w, rate); });
  }
};

}  // namespace unroll::inline UNROLL_ISA
