#include <layers/attention/score_functions.h>

using namespace unroll;

TEST_CASE("additive attention: values are those of the paper's equations") {
  Rng rng{1};
  const AdditiveAttention<double> attention(3, 4, 5, rng);
  const std::vector<Index> lengths{3, 5};
  const auto source = random_tensor({5, 2, 4}, rng), query = random_tensor({2, 3}, rng);
  const auto [weights, context] = attend_by_hand(source, lengths, [&](Index b, Index t) {
    double total = 0;
    for (Index u = 0; u < 5; ++u) {
      double inside = 0;
      for (Index i = 0; i < 3; ++i) inside += at(query, {b, i}) * at(attention.query.weight.value(), {i, u});
      for (Index i = 0; i < 4; ++i) inside += at(source, {t, b, i}) * at(attention.key.weight.value(), {i, u});
      total += attention.score.value().data()[u] * std::tanh(inside);
    }
    return total;
  });
  Tape<double> tape;
  const auto got = attention(attention.remember(tape.constant(source), lengths), tape.constant(query));
  CHECK(distance(got.weights.value(), weights) <= 1e-14);
  CHECK(distance(got.context.value(), context) <= 1e-14);
}
