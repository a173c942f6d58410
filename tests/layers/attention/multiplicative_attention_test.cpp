#include <layers/attention/score_functions.h>

using namespace unroll;

TEST_CASE("multiplicative attention: values are those of the paper's equations") {
  Rng rng{1};
  const MultiplicativeAttention<double> general(3, 4, rng), dot(4);
  const std::vector<Index> lengths{3, 5};
  const auto source = random_tensor({5, 2, 4}, rng), query = random_tensor({2, 3}, rng),
             wide = random_tensor({2, 4}, rng);
  Tape<double> tape;
  {
    const auto [weights, context] = attend_by_hand(source, lengths, [&](Index b, Index t) {
      double total = 0;
      for (Index i = 0; i < 4; ++i)
        for (Index j = 0; j < 3; ++j)
          total += at(query, {b, j}) * at(general.key->weight.value(), {i, j}) * at(source, {t, b, i});
      return total;
    });
    const auto got = general(general.remember(tape.constant(source), lengths), tape.constant(query));
    CHECK(distance(got.weights.value(), weights) <= 1e-14);
    CHECK(distance(got.context.value(), context) <= 1e-14);
  }
  const auto [weights, context] = attend_by_hand(source, lengths, [&](Index b, Index t) {
    double total = 0;
    for (Index i = 0; i < 4; ++i) total += at(wide, {b, i}) * at(source, {t, b, i});
    return total;
  });
  const auto got = dot(dot.remember(tape.constant(source), lengths), tape.constant(wide));
  CHECK(distance(got.weights.value(), weights) <= 1e-14);
  CHECK(distance(got.context.value(), context) <= 1e-14);
}

TEST_CASE("multiplicative attention: dot has no parameters, and its gradients agree with differences") {
  Rng rng{2};
  MultiplicativeAttention<double> dot(4);
  CHECK(count_parameters(dot) == 0);
  const std::vector<Index> lengths{3, 5};
  Parameter<double> source(random_tensor({5, 2, 4}, rng)), query(random_tensor({2, 4}, rng));
  const auto report = check_gradients(
      [&](Tape<double>& tape) {
        return sum(square(dot(dot.remember(tape.use(source), lengths), tape.use(query)).context - 0.1));
      },
      {&source, &query});
  INFO(report.text());
  CHECK(report);
  Tape<double> tape;
  const auto memory = dot.remember(tape.zeros({5, 2, 4}));
  CHECK_THROWS_WITH_AS(dot(memory, tape.zeros({2, 3})),
                       "attention: a query [2, 4] is needed for a memory of 2 rows, not [2, 3]", ShapeError);
}
