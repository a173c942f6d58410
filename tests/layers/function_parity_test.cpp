#include <layers/compare.h>

using namespace unroll;

// Layers and losses without recurrence, against PyTorch 2.13.

namespace {

template <Real T>
void seed_and_sweep(Tape<T>& tape, Var<T> y, const Fixture& f) {
  f.expect("y", y.value());
  tape.backward(y, f.as<T>("seed_y"));
}

}  // namespace

TEST_CASE_TEMPLATE("parity: linear agrees with pytorch", T, float, double) {
  const Fixture f("linear");
  const Linear<T> layer(f.as<T>("w"), f.as<T>("b"));
  Tape<T> tape;
  const auto x = tape.variable(f.as<T>("x"));
  seed_and_sweep(tape, layer(x), f);
  f.expect("grad/x", x.grad());
  f.expect("grad/w", layer.weight.grad());
  f.expect("grad/b", layer.bias.grad());
}

TEST_CASE_TEMPLATE("parity: layer norm agrees with pytorch", T, float, double) {
  const Fixture f("layer_norm");
  LayerNorm<T> layer(6);
  layer.epsilon = f.number("eps");
  layer.gain.edit() = f.as<T>("weight");
  layer.bias.edit() = f.as<T>("bias");
  Tape<T> tape;
  const auto x = tape.variable(f.as<T>("x"));
  seed_and_sweep(tape, layer(x), f);
  f.expect("grad/x", x.grad());
  f.expect("grad/weight", layer.gain.grad());
  f.expect("grad/bias", layer.bias.grad());
}

TEST_CASE_TEMPLATE("parity: embedding agrees with pytorch, with and without a padding index", T, float, double) {
  const Fixture f("embedding");
  auto ids = f.integers<std::int32_t>("indices");
  Rng rng{1};
  Embedding<T> layer(7, 4, rng);
  layer.table.edit() = f.as<T>("weight");
  Tape<T> tape;
  seed_and_sweep(tape, layer(tape, ids, {4, 3}), f);
  f.expect("grad/weight", layer.table.grad());

  layer.table.clear_grad();
  std::replace(ids.begin(), ids.end(), static_cast<std::int32_t>(f.number("padding_idx")), -1);
  tape.backward(layer(tape, ids, {4, 3}), f.as<T>("seed_y"));
  f.expect("grad/weight.padding_idx", layer.table.grad());
}

TEST_CASE_TEMPLATE("parity: gelu agrees with pytorch", T, float, double) {
  const Fixture f("gelu");
  Tape<T> tape;
  const auto x = tape.variable(f.as<T>("x"));
  const Var<T> y = gelu(x);
  seed_and_sweep(tape, y, f);
  f.expect("grad/x", x.grad());
}

TEST_CASE_TEMPLATE("parity: cross entropy with weights, smoothing and ignored rows agrees with pytorch", T, float,
                   double) {
  const Fixture f("cross_entropy");
  const auto targets = f.integers<std::int32_t>("target");
  const Tensor<double> weight = f.at("weight");
  CrossEntropyOptions options{.ignore = static_cast<std::int32_t>(f.number("ignore_index")),
                              .weights = std::span<const double>(weight.data(), weight.size()),
                              .smoothing = f.number("label_smoothing")};
  for (const auto& [reduction, name] : {std::pair{Reduction::mean, "mean"}, std::pair{Reduction::sum, "sum"}}) {
    options.reduction = reduction;
    Tape<T> tape;
    const auto x = tape.variable(f.as<T>("x"));
    const Var<T> loss = cross_entropy(x, targets, options);
    f.expect(fmt::format("y.{}", name), loss.value());
    tape.backward(loss);
    f.expect(fmt::format("grad/x.{}", name), x.grad());
  }

  Tape<T> tape;
  const auto x = tape.variable(f.as<T>("x"));
  const Tensor<T> seed = f.as<T>("seed_y");
  Tensor<T> each = make_tensor<T>({7}, T(0));
  Var<T> total = tape.zeros({});
  for (Index i = 0; i < 7; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (targets[at] == options.ignore) continue;
    const Var<T> one = cross_entropy(slice(x, 0, i, i + 1), std::span(targets).subspan(at, 1), options);
    each(at) = one.item();
    total = total + one * static_cast<double>(seed(at));
  }
  f.expect("y.none", each);
  tape.backward(total);
  f.expect("grad/x.none", x.grad());
}

TEST_CASE_TEMPLATE("parity: huber agrees with pytorch", T, float, double) {
  const Fixture f("huber");
  Tape<T> tape;
  const auto x = tape.variable(f.as<T>("x")), target = tape.variable(f.as<T>("target"));
  const Var<T> loss = huber(x, target, f.number("delta"));
  f.expect("y.mean", loss.value());
  tape.backward(loss);
  f.expect("grad/x.mean", x.grad());
  f.expect("grad/target.mean", target.grad());
}

TEST_CASE_TEMPLATE("parity: binary cross entropy agrees with pytorch at logits of any size", T, float, double) {
  const Fixture f("bce_with_logits");
  Tape<T> tape;
  const auto x = tape.variable(f.as<T>("x")), target = tape.variable(f.as<T>("target"));
  const Var<T> loss = binary_cross_entropy(x, target);
  f.expect("y.mean", loss.value());
  tape.backward(loss);
  f.expect("grad/x.mean", x.grad());
  f.expect("grad/target.mean", target.grad());
}

TEST_CASE_TEMPLATE("parity: ctc_loss agrees with pytorch", T, float, double) {
  const Fixture f("ctc");
  const auto labels = f.integers<std::int32_t>("targets");
  const auto lengths = f.integers("lengths"), label_counts = f.integers("target_lengths");
  const auto longest = static_cast<Index>(labels.size()) / static_cast<Index>(lengths.size());
  Labels targets;
  for (std::size_t b = 0; b < lengths.size(); ++b) {
    const auto first = labels.begin() + static_cast<Index>(b) * longest;
    targets.emplace_back(first, first + label_counts[b]);
  }
  Tape<T> tape;
  const auto logits = tape.variable(f.as<T>("logits"));
  const Var<T> loss = ctc_loss(logits, targets, lengths);
  f.expect("loss", loss.value());
  tape.backward(loss);
  f.expect("grad/logits", logits.grad());
}
