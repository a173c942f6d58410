#pragma once

#include <layers/fixture.h>
#include <unroll/layers/layers.h>

// Recurrent layers beside PyTorch 2.13: outputs, final states and every gradient. See fixtures/make_torch_fixtures.py
// for the files.

namespace unroll::torch_parity {

template <class C>
void collect(Recurrent<C>& layer, std::vector<C*>& cells) {
  cells.push_back(&layer.cell);
}
template <class L, class C>
void collect(Bidirectional<L>& layer, std::vector<C*>& cells) {
  collect(layer.forward, cells);
  collect(layer.backward, cells);
}
template <class L, class C>
void collect(Stacked<L>& layer, std::vector<C*>& cells) {
  for (L& l : layer.layers) collect(l, cells);
}

/// PyTorch's second bias adds to the first, but for the part that a GRU's reset gate scales.
template <class C>
constexpr bool has_inner_bias = requires(C& cell) { cell.candidate.bias; };

template <class C, Real T = cell_scalar_t<C>>
void take_weights(C& cell, const StoredReference& f, const std::string& from) {
  Tape<T> tape;
  const auto given = [&](const char* name) { return tape.constant(f.as<T>(from + name)); };
  const Var<T> wh = given(".wh"), bx = given(".bx"), bh = given(".bh");
  cell.input.weight.edit() = given(".wx").value();
  if constexpr (has_inner_bias<C>) {
    const auto of_gates = [&](Var<T> v) { return slice(v, -1, 0, 2 * cell.width); };
    const auto of_candidate = [&](Var<T> v) { return slice(v, -1, 2 * cell.width, 3 * cell.width); };
    cell.gates.weight.edit() = of_gates(wh).value();
    cell.candidate.weight.edit() = of_candidate(wh).value();
    cell.candidate.bias.edit() = of_candidate(bh).value();
    cell.input.bias.edit() = concat(of_gates(bx) + of_gates(bh), of_candidate(bx)).value();
  } else {
    cell.recurrent.weight.edit() = wh.value();
    cell.input.bias.edit() = Var<T>(bx + bh).value();
  }
  if constexpr (requires { cell.projection; }) cell.projection.weight.edit() = given(".wr").value();
}

template <class C, class F, Real T = cell_scalar_t<C>>
void compare_gradients(const C& cell, const std::string& from, F compare) {
  const auto& bx = cell.input.bias.grad();
  compare("grad/" + from + ".wx", cell.input.weight.grad());
  compare("grad/" + from + ".bx", bx);
  if constexpr (has_inner_bias<C>) {
    Tape<T> tape;
    const auto on_tape = [&](const Tensor<T>& g) { return tape.constant(g); };
    const Var<T> of_gates = slice(on_tape(bx), 0, 0, 2 * cell.width);
    compare("grad/" + from + ".wh",
            concat(on_tape(cell.gates.weight.grad()), on_tape(cell.candidate.weight.grad())).value());
    compare("grad/" + from + ".bh", concat(of_gates, on_tape(cell.candidate.bias.grad())).value());
  } else {
    compare("grad/" + from + ".wh", cell.recurrent.weight.grad());
    compare("grad/" + from + ".bh", bx);
  }
  if constexpr (requires { cell.projection; }) compare("grad/" + from + ".wr", cell.projection.weight.grad());
}

template <Real T>
Tensor<T> with_nan_padding(Tensor<T> x, std::span<const Index> lengths) {
  const Shape s = shape_of(x);
  for (Index t = 0; t < s[0]; ++t)
    for (Index b = 0; b < s[1]; ++b)
      if (t >= lengths[static_cast<std::size_t>(b)])
        std::fill_n(x.data() + (t * s[1] + b) * s[2], s[2], std::numeric_limits<T>::quiet_NaN());
  return x;
}

template <class C, class L>
Parity compare(L layer, const std::string& file, int directions) {
  using T = cell_scalar_t<C>;
  const StoredReference f(file);
  Parity parity;
  const auto compare = [&](const std::string& name, const auto& got) { parity.compare(f, name, got); };
  const std::vector<Index> lengths = f.integers("lengths");
  std::vector<C*> cells;
  collect(layer, cells);
  const auto name = [&](std::size_t row) {
    return fmt::format("layer{}.{}", row / static_cast<std::size_t>(directions),
                       directions == 2 && row % 2 == 1 ? "backward" : "forward");
  };
  for (std::size_t row = 0; row < cells.size(); ++row) take_weights(*cells[row], f, name(row));

  Tape<T> tape;
  const auto x = tape.variable(with_nan_padding(f.as<T>("x"), lengths));
  const bool two = std::same_as<typename C::State, HiddenAndCell<T>>;
  std::vector<Var<T>> given{tape.variable(f.as<T>("h0"))}, seeds{tape.constant(f.as<T>("seed_h"))};
  if (two) {
    given.push_back(tape.variable(f.as<T>("c0")));
    seeds.push_back(tape.constant(f.as<T>("seed_c")));
  }
  std::size_t k = 0;
  const auto state = map_vars(layer.initial(tape, x.shape()[1]), [&](Var<T>) {
    const Var<T> whole = given[k % given.size()];
    return whole[static_cast<Index>(k++ / given.size())];
  });

  const auto unrolled = layer(x, state, lengths);
  compare("y", unrolled.outputs.value());
  Var<T> loss = sum(unrolled.outputs * tape.constant(f.as<T>("seed_y")));
  std::vector<std::vector<Var<T>>> finals(given.size());
  k = 0;
  for_each_var(unrolled.last, [&](const Var<T>& v) {
    loss = loss + sum(v * seeds[k % given.size()][static_cast<Index>(k / given.size())]);
    finals[k++ % given.size()].push_back(v);
  });
  compare("hn", stack(std::span<const Var<T>>(finals[0])).value());
  if (two) compare("cn", stack(std::span<const Var<T>>(finals[1])).value());

  tape.backward(loss);
  compare("grad/x", x.grad());
  compare("grad/h0", given[0].grad());
  if (two) compare("grad/c0", given[1].grad());
  for (std::size_t row = 0; row < cells.size(); ++row) compare_gradients(*cells[row], name(row), compare);
  return parity;
}

/// The worse of one layer over sequences of equal length, and of two layers of both directions over ragged ones.
template <class C, class... More>
Parity of_both(const std::string& kind, More... more) {
  Rng rng{1};
  const Parity plain = compare<C>(Recurrent<C>(3, 4, rng, more...), kind + "_plain", 1);
  const Parity ragged =
      compare<C>(Stacked<Bidirectional<Recurrent<C>>>(3, 4, 2, rng, 0.0, more...), kind + "_ragged", 2);
  return plain.worst > ragged.worst ? plain : ragged;
}

/// The cells that PyTorch has, by our names; throws for others.
template <Real T>
Parity of_cell(const std::string& cell) {
  if (cell == "rnn") return of_both<RNNCell<T>>("rnn_tanh");
  if (cell == "rnn-relu") return of_both<RNNCell<T>>("rnn_relu", Activation::relu);
  if (cell == "gru") return of_both<GRUCell<T>>("gru");
  if (cell == "lstm") return of_both<LSTMCell<T>>("lstm");
  require<ValueError>(cell == "lstm-projection", "parity: PyTorch has no cell {}", cell);
  return of_both<ProjectionLSTMCell<T>>("lstm_projection");
}
inline constexpr std::array cells{"rnn", "rnn-relu", "gru", "lstm", "lstm-projection"};

}  // namespace unroll::torch_parity
