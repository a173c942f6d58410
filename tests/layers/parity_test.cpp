#include <layers/compare.h>

using namespace unroll;

// Against PyTorch 2.13: outputs, final states and every gradient. See fixtures/make_torch_fixtures.py for the files.

namespace {

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

template <class C>
constexpr bool has_two_biases = requires(C& cell) { cell.recurrent.bias; };

template <class C, Real T = cell_scalar_t<C>>
void take_weights(C& cell, const Fixture& f, const std::string& from) {
  cell.input.weight.edit() = f.as<T>(from + ".wx");
  cell.recurrent.weight.edit() = f.as<T>(from + ".wh");
  if constexpr (has_two_biases<C>) {
    cell.input.bias.edit() = f.as<T>(from + ".bx");
    cell.recurrent.bias.edit() = f.as<T>(from + ".bh");
  } else {
    cell.input.bias.edit() = Tensor<T>(xt::cast<T>(f.at(from + ".bx") + f.at(from + ".bh")));
  }
}

template <class C>
void expect_gradients(const C& cell, const Fixture& f, const std::string& from) {
  f.expect("grad/" + from + ".wx", cell.input.weight.grad());
  f.expect("grad/" + from + ".wh", cell.recurrent.weight.grad());
  f.expect("grad/" + from + ".bx", cell.input.bias.grad());
  if constexpr (has_two_biases<C>)
    f.expect("grad/" + from + ".bh", cell.recurrent.bias.grad());
  else
    f.expect("grad/" + from + ".bh", cell.input.bias.grad());
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
void compare(L layer, const std::string& file, int directions) {
  using T = cell_scalar_t<C>;
  CAPTURE(file);
  const Fixture f(file);
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
  f.expect("y", unrolled.outputs.value());
  Var<T> loss = sum(unrolled.outputs * tape.constant(f.as<T>("seed_y")));
  std::vector<std::vector<Var<T>>> finals(given.size());
  k = 0;
  for_each_var(unrolled.last, [&](const Var<T>& v) {
    loss = loss + sum(v * seeds[k % given.size()][static_cast<Index>(k / given.size())]);
    finals[k++ % given.size()].push_back(v);
  });
  f.expect("hn", stack(std::span<const Var<T>>(finals[0])).value());
  if (two) f.expect("cn", stack(std::span<const Var<T>>(finals[1])).value());

  tape.backward(loss);
  f.expect("grad/x", x.grad());
  f.expect("grad/h0", given[0].grad());
  if (two) f.expect("grad/c0", given[1].grad());
  for (std::size_t row = 0; row < cells.size(); ++row) expect_gradients(*cells[row], f, name(row));
}

template <class C, class... More>
void compare_both(const std::string& kind, More... more) {
  Rng rng{1};
  compare<C>(Recurrent<C>(3, 4, rng, more...), kind + "_plain", 1);
  compare<C>(Stacked<Bidirectional<Recurrent<C>>>(3, 4, 2, rng, 0.0, more...), kind + "_ragged", 2);
}

}  // namespace

TEST_CASE_TEMPLATE("parity: rnn with tanh agrees with pytorch", T, float, double) {
  compare_both<RNNCell<T>>("rnn_tanh");
}
TEST_CASE_TEMPLATE("parity: rnn with relu agrees with pytorch", T, float, double) {
  compare_both<RNNCell<T>>("rnn_relu", Activation::relu);
}
TEST_CASE_TEMPLATE("parity: gru agrees with pytorch", T, float, double) { compare_both<GRUCell<T>>("gru"); }
TEST_CASE_TEMPLATE("parity: lstm agrees with pytorch", T, float, double) { compare_both<LSTMCell<T>>("lstm"); }
