#include <layers/compare.h>
#include <unroll/autograd/check/gradients.h>
#include <unroll/layers/tied_embedding.h>

using namespace unroll;

TEST_CASE("tied embedding: both uses add to one gradient, with and without holding the logits") {
  Rng rng{1};
  TiedEmbedding<double> words(7, 3, rng);
  words.bias.edit() = random_tensor({7}, rng);
  const Tokens in = Tokens::batch({{1, 4, 4}, {0, 6}}), out = Tokens::batch({{4, 4, 2}, {6, 5}});
  CHECK(parameters<double>(words).size() == 2);
  std::array<Tensor<double>, 2> found;
  for (const bool held : {false, true}) {
    const auto loss = [&](Tape<double>& tape) {
      const Var<double> h = tanh(words(tape, in) * 2.0);
      return held ? cross_entropy(words.logits(h), out) : cross_entropy(words, h, out);
    };
    const auto report = check_gradients(loss, parameters<double>(words));
    INFO(report.text());
    CHECK(report);
    for (auto* p : parameters<double>(words)) p->clear_grad();
    Tape<double> tape;
    const auto value = loss(tape);
    tape.backward(value);
    found[held] = words.embedding.table.grad();
  }
  CHECK(distance(found[0], found[1]) <= 1e-14);
}

TEST_CASE("tied embedding: logits are products with the rows of the table") {
  Rng rng{2};
  TiedEmbedding<double> words(4, 3, rng);
  words.bias.edit() = random_tensor({4}, rng);
  const auto h = random_tensor({2, 3}, rng);
  Tape<double> tape;
  const auto y = words.logits(tape.constant(h)).value();
  for (std::size_t r = 0; r < 2; ++r)
    for (std::size_t k = 0; k < 4; ++k) {
      double want = words.bias.value()(k);
      for (std::size_t i = 0; i < 3; ++i) want += h(r, i) * words.embedding.table.value()(k, i);
      CHECK(y(r, k) == doctest::Approx(want).epsilon(1e-14));
    }
  CHECK_THROWS_AS(words.logits(tape.zeros({2, 4})), ShapeError);
}
