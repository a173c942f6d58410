#include <doctest/doctest.h>

#include <cmath>

#include <unroll/layers/layers.h>

using namespace unroll;

// Of symbols that recur the projection is computed once for each, and stays where it is until a step reads it. Whatever
// a cell does with its input, it must see what it sees of the same rows when nobody knows that they recur.

namespace {

enum class Reads { whole, half, again, values, rows, product, projection, late, part };

/// A cell of width 8 that reads its input, 16 wide, in one of these ways.
struct ReadingCell {
  using State = Var<double>;
  static constexpr Index width = 8;
  Reads how;
  Linear<double> input;
  Matrix<double> recurrent, both;

  ReadingCell(Reads how, Rng& rng)
      : how(how), input(3, 2 * width, rng), recurrent(width, width, rng), both(width, 2 * width, rng) {}

  State initial(Tape<double>& tape, Index batch) const { return tape.zeros({batch, width}); }
  Var<double> project(Var<double> xs) const {
    const Var<double> projected = input(xs);
    if (how == Reads::projection) CHECK(std::isfinite(projected.value()[0]));
    return how == Reads::projection ? Var<double>(projected * 1.0) : projected;
  }
  State step(Var<double> x, State h) const {
    const auto gated = [](Var<double> sums) {
      auto [a, b] = split<2>(sums);
      return Var<double>(sigmoid(a) * tanh(b));
    };
    auto [a, b] = split<2>(x);
    switch (how) {
      case Reads::whole:
        return gated(addmm(x, h, both.weight));
      case Reads::half:
        return sigmoid(a) * tanh(addmm(b, h, recurrent.weight));
      case Reads::again: {
        const Var<double> seen = sigmoid(a) + tanh(a);
        return seen * a + tanh(addmm(b, h, recurrent.weight));
      }
      case Reads::values: {
        const double first = x.value()[0];
        return Var<double>(gated(addmm(x, h, both.weight)) * std::cos(first));
      }
      case Reads::rows: {
        const Index rows = x.shape()[0];
        if (rows < 2) return gated(addmm(x, h, both.weight));
        const std::array<Var<double>, 2> parts{slice(x, 0, 1, rows), slice(x, 0, 0, 1)};
        return gated(addmm(concat(std::span<const Var<double>>(parts), 0), h, both.weight));
      }
      case Reads::product:
        return gated(x + matmul(h, both.weight));
      case Reads::projection:
        return gated(addmm(x, h, both.weight));
      case Reads::late: {
        const Var<double> sums = addmm(b, h, recurrent.weight);
        return tanh(sums) * a;
      }
      case Reads::part:
        return tanh(addmm(b, h, recurrent.weight));
    }
    return h;
  }
  static void fields(auto& m, auto&& f) { f("input", m.input), f("recurrent", m.recurrent), f("both", m.both); }
};

struct Outcome {
  Tensor<double> outputs, last;
  std::vector<Tensor<double>> gradients;
  bool finite = true;
};

constexpr Index steps = 20, batch = 4;

Outcome run(const Recurrent<ReadingCell>& layer, const Parameter<double>& table, std::span<const Index> lengths,
            bool backwards, bool hidden, bool training) {
  std::vector<std::int32_t> ids;
  for (Index i = 0; i < steps * batch; ++i) ids.push_back(static_cast<std::int32_t>(i * i % 7 % 5));
  Tape<double> trained, inferred = Tape<double>::inference();
  Tape<double>& tape = training ? trained : inferred;
  tape.filled({1000, 100}, NAN);  // what was not put there shows
  tape.rewind();
  Var<double> xs = lookup(tape, table, ids, {steps, batch});
  if (hidden) xs = reshape(xs, {steps, batch, 3});
  const auto [outputs, last] = backwards ? layer.backwards(xs, lengths) : layer(xs, lengths);
  Outcome result{outputs.value(), last.value(), {}};
  result.finite = tape.find_nonfinite() == nullptr;
  if (!training) return result;
  Gradients<double> gradients;
  tape.backward(sum(square(outputs)) + sum(sin(last)), gradients);
  result.gradients.push_back(gradients.of(table).values());
  for (const Parameter<double>* p : parameters<double>(const_cast<Recurrent<ReadingCell>&>(layer)))
    result.gradients.push_back(gradients.of(*p).values());
  return result;
}

/// A cell whose output is a product of looked-up rows: it lies in the memory of all steps' outputs.
struct LookingCell {
  using State = Var<double>;
  const Parameter<double>& table;
  Matrix<double> weight;
  bool hidden;

  State initial(Tape<double>& tape, Index batch) const { return tape.zeros({batch, 4}); }
  Var<double> project(Var<double> xs) const { return xs; }
  State step(Var<double> x, State, Index t) const {
    std::vector<std::int32_t> ids(static_cast<std::size_t>(x.shape()[0]));
    for (std::size_t i = 0; i < ids.size(); ++i)
      ids[i] = static_cast<std::int32_t>((i + static_cast<std::size_t>(t)) % 3);
    if (t > 1) CHECK(x.tape().awaits());
    const Var<double> rows = lookup(x.tape(), table, ids, {x.shape()[0]});
    return matmul(hidden ? reshape(rows, rows.shape()) : rows, weight.weight);
  }
  static void fields(auto& m, auto&& f) { f("weight", m.weight); }
};

}  // namespace

TEST_CASE("looked-up inputs: steps whose outputs are such products keep to their places") {
  Rng rng(4);
  const Parameter<double> table(init::normal<double>({5, 3}, 1.0, rng));
  const Matrix<double> weight(3, 4, rng);
  const auto outputs = [&](bool hidden) {
    Tape<double> tape;
    tape.filled({1000, 100}, NAN);
    tape.rewind();
    const Recurrent<LookingCell> layer(LookingCell{table, weight, hidden});
    return Tensor<double>(layer(tape.zeros({5, 40, 2})).outputs.value());
  };
  CHECK(outputs(false) == outputs(true));
}

TEST_CASE("looked-up inputs: a cell sees the rows of its input, however it reads them") {
  Rng rng(4);
  const Parameter<double> table(init::normal<double>({5, 3}, 1.0, rng));
  const std::vector<Index> all, some{20, 7, 0, 13};
  for (const Reads how : {Reads::whole, Reads::half, Reads::again, Reads::values, Reads::rows, Reads::product,
                          Reads::projection, Reads::late, Reads::part}) {
    const Recurrent<ReadingCell> layer(how, rng);
    for (const auto& lengths : {all, some})
      for (const bool backwards : {false, true})
        for (const bool training : {false, true}) {
          INFO(static_cast<int>(how), " ", lengths.size(), " ", backwards, " ", training);
          const Outcome got = run(layer, table, lengths, backwards, false, training);
          const Outcome want = run(layer, table, lengths, backwards, true, training);
          CHECK(got.outputs == want.outputs);  // bit for bit
          CHECK(got.last == want.last);
          CHECK(got.finite);
          REQUIRE(got.gradients.size() == want.gradients.size());
          for (std::size_t i = 0; i < got.gradients.size(); ++i) {
            const Tensor<double>&g = got.gradients[i], &w = want.gradients[i];
            CHECK(xt::amax(xt::abs(g - w))() <= 1e-12 * xt::amax(xt::abs(w))());
          }
        }
  }
}
