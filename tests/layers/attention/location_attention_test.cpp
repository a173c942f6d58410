#include <layers/attention/score_functions.h>

using namespace unroll;

TEST_CASE("location attention: values are those of the paper's equations") {
  Rng rng{1};
  LocationAttention<double> attention(3, 4, 5, rng, {.filters = 2, .window = 3});
  attention.key.bias.edit() = random_tensor({5}, rng);
  const std::vector<Index> lengths{3, 5};
  const auto source = random_tensor({5, 2, 4}, rng), queries = random_tensor({2, 2, 3}, rng);
  Tensor<double> previous = make_tensor<double>({2, 5}, 0.0);
  Tape<double> tape;
  const auto memory = attention.remember(tape.constant(source), lengths);
  Var<double> before;
  for (const Index step : {0, 1}) {
    const auto [weights, context] = attend_by_hand(source, lengths, [&](Index b, Index t) {
      double total = 0;
      for (Index u = 0; u < 5; ++u) {
        double inside = attention.key.bias.value().data()[u];
        for (Index i = 0; i < 3; ++i) inside += at(queries, {step, b, i}) * at(attention.query.weight.value(), {i, u});
        for (Index i = 0; i < 4; ++i) inside += at(source, {t, b, i}) * at(attention.key.weight.value(), {i, u});
        for (Index k = 0; k < 2; ++k)
          for (Index j = 0; j < 3; ++j)
            if (const Index from = t + j - 1; from >= 0 && from < 5)
              inside += at(previous, {b, from}) * at(attention.filters.weight.value(), {j, k}) *
                        at(attention.location.weight.value(), {k, u});
        total += attention.score.value().data()[u] * std::tanh(inside);
      }
      return total;
    });
    const auto got = attention(memory, tape.constant(queries)[step], before);
    CHECK(distance(got.weights.value(), weights) <= 1e-14);
    CHECK(distance(got.context.value(), context) <= 1e-14);
    previous = weights;
    before = got.weights;
  }
  CHECK_THROWS_WITH_AS(attention(memory, tape.zeros({2, 3}), tape.zeros({2, 4})),
                       "attention: previous weights [2, 4] for a memory of weights [2, 5]", ShapeError);
  CHECK_THROWS_WITH_AS(LocationAttention<double>(1, 1, 1, rng, {.filters = 3, .window = 4}),
                       "location attention: 3 filters of a window of 4: a window is odd, to have a middle", ValueError);
}
