#include <layers/attention/attentions.h>

using namespace unroll;

// What holds of every attention; what each computes is in the tests of its own.

namespace {

const std::vector<Index> lengths{3, 5, 1};

/// Two queries one after the other, the second with the weights of the first.
template <class A>
std::array<Attended<double>, 2> two_steps(const A& attention, const AttentionMemory<double>& memory,
                                          Var<double> queries) {
  const auto first = attention(memory, queries[0], {});
  return {first, attention(memory, queries[1], first.weights)};
}

}  // namespace

TEST_CASE("attention: gradients agree with differences, ragged") {
  for_each_attention([](const char* name, auto attention) {
    CAPTURE(name);
    Rng rng{1};
    Parameter<double> source(with_padding(random_tensor({5, 3, 4}, rng), lengths, 9)),
        queries(random_tensor({2, 3, 3}, rng));
    auto listed = parameters<double>(attention);
    listed.insert(listed.end(), {&source, &queries});
    const auto report = check_gradients(
        [&](Tape<double>& tape) {
          const auto memory = attention.remember(tape.use(source), lengths);
          const auto [a, b] = two_steps(attention, memory, tape.use(queries));
          return sum(square(a.context - 0.3)) + sum(square(b.context)) * 2.0 + sum(square(b.weights - 0.2));
        },
        listed, {.may_be_unused = std::string(name) == "multi-head"});
    INFO(report.text());
    CHECK(report);
  });
}

TEST_CASE("attention: padding is not read, and weights are a distribution over what is valid") {
  for_each_attention([](const char* name, auto attention) {
    CAPTURE(name);
    Rng rng{2};
    const auto source = random_tensor({5, 3, 4}, rng), queries = random_tensor({2, 3, 3}, rng);
    std::vector<Tensor<double>> found[2];
    for (const int i : {0, 1}) {
      Tape<double> tape;
      Gradients<double> gradients;
      const auto xs = tape.variable(with_padding(source, lengths, i == 0 ? NAN : 1e300));
      const auto steps = two_steps(attention, attention.remember(xs, lengths), tape.constant(queries));
      tape.backward(sum(square(steps[1].context)), gradients);
      found[i] = {steps[0].weights.value(), steps[1].context.value(), xs.grad()};
      for (const auto* p : parameters<double>(attention)) found[i].push_back(gradients.of(*p).values());
      CHECK(found[i][2] == with_padding(found[i][2], lengths, 0));
      const auto& w = found[i][0];
      const Shape shape = shape_of(w);
      for (Index r = 0; r < shape.rows(); ++r) {
        const Index n = lengths[static_cast<std::size_t>(r / (shape.rows() / 3))];
        CHECK(std::accumulate(w.data() + r * 5, w.data() + r * 5 + n, 0.0) == doctest::Approx(1));
        for (Index t = n; t < 5; ++t) CHECK(w.data()[r * 5 + t] == 0);
      }
    }
    for (std::size_t k = 0; k < found[0].size(); ++k) CHECK(distance(found[0][k], found[1][k]) == 0);
  });
}

TEST_CASE("attention: a batch is its rows one by one, selected and first rows are those rows") {
  for_each_attention([](const char* name, auto attention) {
    CAPTURE(name);
    Rng rng{3};
    const auto source = random_tensor({5, 3, 4}, rng), queries = random_tensor({2, 3, 3}, rng);
    Tape<double> tape;
    const auto xs = tape.constant(source), qs = tape.constant(queries);
    const auto memory = attention.remember(xs, lengths);
    const auto all = two_steps(attention, memory, qs);
    for (Index b = 0; b < 3; ++b) {
      const Index n = lengths[static_cast<std::size_t>(b)];
      const auto alone = attention.remember(slice(slice(xs, 0, 0, n), 1, b, b + 1));
      const auto one = two_steps(attention, alone, slice(qs, 1, b, b + 1));
      CHECK(distance(one[1].context[0].value(), all[1].context[b].value()) <= 1e-14);
    }
    const std::vector<Index> rows{2, 0, 0, 1};
    const Var<double> chosen =
        stack(std::span<const Var<double>>(std::array{select_rows(qs[0], rows), select_rows(qs[1], rows)}));
    const auto several = two_steps(attention, memory.select(rows), chosen);
    const auto first = two_steps(attention, memory.first(2), slice(qs, 1, 0, 2));
    for (std::size_t i = 0; i < 4; ++i)
      CHECK(distance(several[1].weights[static_cast<Index>(i)].value(), all[1].weights[rows[i]].value()) <= 1e-14);
    for (const Index b : {0, 1}) CHECK(distance(first[1].context[b].value(), all[1].context[b].value()) <= 1e-14);
    const auto beams = repeat_rows(memory, 2);
    const auto twice = memory.select(std::vector<Index>{0, 0, 1, 1, 2, 2});
    CHECK(distance(beams.keys.value(), twice.keys.value()) == 0);
    CHECK(distance(beams.values.value(), twice.values.value()) == 0);
    CHECK(std::ranges::equal(beams.lengths, twice.lengths));
  });
}

TEST_CASE("attention: what does not fit is refused in a sentence") {
  for_each_attention([](const char* name, auto attention) {
    CAPTURE(name);
    const auto named = parameters<double>(attention);
    Tape<double> tape;
    const auto source = tape.zeros({5, 2, 4});
    CHECK_THROWS_WITH_AS(attention.remember(tape.zeros({5, 2, 3})),
                         doctest::Contains("attention: a source [time, batch, 4] is needed, not [5, 2, 3]"),
                         ShapeError);
    CHECK_THROWS_WITH_AS(attention.remember(source, std::vector<Index>{5}),
                         doctest::Contains("attention: 1 lengths for the source [5, 2, 4]"), ShapeError);
    CHECK_THROWS_WITH_AS(attention.remember(source, std::vector<Index>{5, 6}),
                         doctest::Contains("attention: length 6 of row 1 in the source [5, 2, 4]"), ShapeError);
    CHECK_THROWS_WITH_AS(attention.remember(source, std::vector<Index>{0, 5}),
                         doctest::Contains("attention: row 0 of the source [5, 2, 4] has no step to attend to"),
                         ValueError);
    CHECK_THROWS_AS(attention.remember(tape.zeros({0, 2, 4})), ValueError);
    const auto memory = attention.remember(source);
    CHECK_THROWS_WITH_AS(attention(memory, tape.zeros({3, 3}), {}),
                         doctest::Contains("attention: a query [2, 3] is needed for a memory of 2 rows, not [3, 3]"),
                         ShapeError);
    CHECK_THROWS_AS(attention(memory, tape.zeros({2, 4}), {}), ShapeError);
    CHECK_THROWS_WITH_AS(memory.select(std::vector<Index>{2}),
                         doctest::Contains("attention: row 2 of a memory of 2 rows"), IndexError);
    CHECK_THROWS_WITH_AS(repeat_rows(memory, 0), doctest::Contains("repeat_rows: 0 times"), ValueError);
    CHECK(attention.weights_shape(memory) == attention(memory, tape.zeros({2, 3}), {}).weights.shape());
    CHECK(attention.width() == attention(memory, tape.zeros({2, 3}), {}).context.shape()[1]);
  });
}
