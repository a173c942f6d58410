#include <layers/attention/attentions.h>

using namespace unroll;

// Against PyTorch 2.13, and by differences.

namespace {

template <Real T>
MultiHeadAttention<T> stored(const Fixture& f, Index query, Index source) {
  Rng rng{1};
  MultiHeadAttention<T> attention(query, source, 6, static_cast<Index>(f.number("heads")), rng);
  for_each_parameter(attention, [&](const std::string& path, Parameter<T>& p) {
    const std::string name = path.substr(0, path.find('/'));
    p.edit() = f.as<T>((p.shape().rank() == 2 ? "w." : "b.") + name);
  });
  return attention;
}

template <Real T>
void expect_gradients(const Fixture& f, MultiHeadAttention<T>& attention) {
  for_each_parameter(attention, [&](const std::string& path, Parameter<T>& p) {
    const std::string name =
        "grad/" + std::string(p.shape().rank() == 2 ? "w." : "b.") + path.substr(0, path.find('/'));
    if (name == "grad/b.key") {  // is 0 but for rounding: a softmax does not see what is added to all scores
      CHECK(xt::amax(xt::abs(p.grad()))() < 10 * parity_tolerance<T>);
      return;
    }
    f.expect(name, p.grad());
  });
}

}  // namespace

TEST_CASE_TEMPLATE("multi-head attention: agrees with pytorch, all queries at once and one by one", T, float, double) {
  const Fixture f("multi_head_attention");
  const auto lengths = f.integers("lengths");
  for (const bool at_once : {true, false}) {
    CAPTURE(at_once);
    auto attention = stored<T>(f, 3, 4);
    Tape<T> tape;
    const auto query = tape.variable(f.as<T>("query")), source = tape.variable(f.as<T>("source"));
    const auto memory = attention.remember(source, lengths);
    Var<T> y, weights;
    if (at_once) {
      const auto all = attention.all(memory, query);
      y = all.context, weights = all.weights;
    } else {
      std::vector<Var<T>> contexts, each;
      for (Index t = 0; t < 4; ++t) {
        const auto one = attention(memory, query[t]);
        contexts.push_back(one.context), each.push_back(one.weights);
      }
      y = stack(std::span<const Var<T>>(contexts));
      weights = transpose(transpose(stack(std::span<const Var<T>>(each)), 0, 1), 1, 2);
    }
    f.expect("y", y.value());
    f.expect("weights", weights.value());
    tape.backward(y, f.as<T>("seed_y"));
    f.expect("grad/query", query.grad());
    f.expect("grad/source", source.grad());
    expect_gradients(f, attention);
  }
}

TEST_CASE_TEMPLATE("multi-head attention: causal self-attention agrees with pytorch", T, float, double) {
  const Fixture f("multi_head_self_attention");
  const auto lengths = f.integers("lengths");
  auto attention = stored<T>(f, 6, 6);
  Tape<T> tape;
  const auto x = tape.variable(f.as<T>("x"));
  const auto y = attention.self(x, {.lengths = lengths, .causal = true}).context;
  f.expect("y", y.value());
  tape.backward(y, f.as<T>("seed_y"));
  f.expect("grad/x", x.grad());
  expect_gradients(f, attention);
}

TEST_CASE("multi-head attention: sequences of queries by differences, and their padding is not read") {
  Rng rng{2};
  MultiHeadAttention<double> attention(3, 3, 6, 2, rng);
  const std::vector<Index> lengths{4, 1, 3};
  Parameter<double> xs(with_padding(random_tensor({4, 3, 3}, rng), lengths, 5));
  for (const bool causal : {false, true}) {
    auto listed = parameters<double>(attention);
    listed.push_back(&xs);
    const auto report = check_gradients(
        [&](Tape<double>& tape) {
          return sum(square(attention.self(tape.use(xs), {.lengths = lengths, .causal = causal}).context - 0.1));
        },
        listed, {.may_be_unused = true});
    INFO(report.text());
    CHECK(report);
    std::vector<Tensor<double>> found;
    for (const double padding : {double(NAN), 1.0}) {
      Tape<double> tape;
      Gradients<double> gradients;
      const auto x = tape.variable(with_padding(xs.value(), lengths, padding));
      const auto y = attention.self(x, {.lengths = lengths, .causal = causal}).context;
      tape.backward(sum(square(y)), gradients);
      found.insert(found.end(), {y.value(), x.grad(), gradients.of(attention.query.weight).values()});
      CHECK(y.value() == with_padding(y.value(), lengths, 0));
    }
    for (std::size_t i = 0; i < 3; ++i) CHECK(found[i] == found[i + 3]);
  }
}

TEST_CASE("multi-head attention: what does not fit is refused") {
  Rng rng{3};
  using Attention = MultiHeadAttention<double>;
  CHECK_THROWS_WITH_AS(Attention(3, 4, 6, 4, rng), "multi-head attention: a width of 6 does not part into 4 heads",
                       ValueError);
  const Attention attention(3, 4, 6, 2, rng);
  Tape<double> tape;
  const auto memory = attention.remember(tape.zeros({5, 2, 4}));
  CHECK_THROWS_WITH_AS(attention.all(memory, tape.zeros({4, 3, 3})),
                       "attention: queries [time, 2, 3] are needed for a memory of 2 rows, not [4, 3, 3]", ShapeError);
  const std::vector<Index> lengths{4, 5};
  CHECK_THROWS_WITH_AS(attention.all(memory, tape.zeros({4, 2, 3}), {.lengths = lengths}),
                       "attention: length 5 of row 1 in the queries [4, 2, 3]", ShapeError);
}
