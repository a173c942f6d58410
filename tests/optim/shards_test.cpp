#include <doctest/doctest.h>

#include <set>

#include <unroll/layers/layers.h>
#include <unroll/optim/optim.h>

using namespace unroll;

namespace {

constexpr Index rows = 12;

/// The weights after three steps in `count` shards, of rows as equal as they can be.
Tensor<double> trained(Index count, int threads, double dropped = 0.3) {
  Rng rng{3};
  Linear<double> model(4, 2, rng);
  SGD<double> sgd(parameters<double>(model), {.rate = 0.1});
  const Tensor<double> xs = init::normal<double>({rows, 4}, 1.0, rng);
  Shards<double> shards(count, threads, 7);
  for (int step = 0; step < 3; ++step) {
    const double loss = shards.backward([&](Tape<double>& tape, Index s) {
      tape.rewind();
      const Index first = part_begin(rows, s, count), last = part_begin(rows, s + 1, count);
      const Var<double> x = slice(tape.constant(xs), 0, first, last);
      return sum(square(model(dropout(x, dropped)) - 1)) / static_cast<double>(rows);
    });
    CHECK(loss > 0);
    sgd.step(&shards.workers());
  }
  return model.weight.value();
}

}  // namespace

TEST_CASE("shards: the result depends on their number, and not on that of threads") {
  const Tensor<double> alone = trained(5, 1);
  CHECK(trained(5, 2) == alone);
  CHECK(trained(5, 7) == alone);
  CHECK(trained(4, 2) != alone);
}

TEST_CASE("shards: without noise they are the whole batch to rounding") {
  const Tensor<double> whole = trained(1, 1, 0), parts = trained(5, 2, 0);
  for (std::size_t i = 0; i < whole.size(); ++i)
    CHECK(parts.data()[i] == doctest::Approx(whole.data()[i]).epsilon(1e-12));
}

TEST_CASE("shards: after one has failed the others keep no gradient") {
  Parameter<double> w(Tensor<double>{2.0});
  Shards<double> shards(3, 2);
  const auto backward = [&](Index failing) {
    return shards.backward([&](Tape<double>& tape, Index s) {
      tape.rewind();
      if (s == failing) throw ValueError("shard 1 fails");
      return sum(tape.use(w));
    });
  };
  CHECK_THROWS_WITH_AS(backward(1), "shard 1 fails", ValueError);
  w.clear_grad();
  CHECK(backward(-1) == 6);
  CHECK(Tensor<double>(w.grad())(0) == 3);
}

TEST_CASE("shards: a batch that is smaller uses fewer, and its loss is the sum of theirs") {
  Parameter<double> w(Tensor<double>{2.0});
  Shards<double> shards(4, 2);
  const double loss = shards.backward(3, [&](Tape<double>& tape, Index s) {
    tape.rewind();
    return sum(tape.use(w)) * static_cast<double>(s + 1);
  });
  CHECK(loss == 2.0 * (1 + 2 + 3));
  CHECK(Tensor<double>(w.grad())(0) == 1 + 2 + 3);
  const auto nothing = [](Tape<double>& tape, Index) { return tape.constant(1.0); };
  CHECK_THROWS_WITH_AS(shards.backward(5, nothing), "shards: 5 of 4 cannot be used", ValueError);
}

TEST_CASE("shards: what fails in one is thrown, the first of them") {
  Shards<double> shards(4, 3);
  CHECK_THROWS_WITH_AS(shards.backward([](Tape<double>& tape, Index s) {
    require<ValueError>(s < 2, "shard {}", s);
    return tape.variable(1.0);
  }),
                       "shard 2", ValueError);
}

TEST_CASE("shards: each draws numbers of its own, also beside those of another seed") {
  std::set<std::uint64_t> seeds;
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    Shards<float> shards(Shards<float>::most, 1, seed);
    for (Index s = 0; s < shards.count(); ++s) seeds.insert(shards.tape(s).rng().seed());
  }
  CHECK(seeds.size() == 3 * Shards<float>::most);
  CHECK_THROWS_WITH_AS(Shards<float>(65), "shards: 65 are not in 1 .. 64", ValueError);
  CHECK_THROWS_AS(Shards<float>(2, 0), ValueError);
}
