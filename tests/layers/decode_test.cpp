#include <layers/compare.h>
#include <unroll/autograd/check/gradients.h>
#include <unroll/layers/attention/additive_attention.h>
#include <unroll/layers/bridge.h>
#include <unroll/layers/decode.h>
#include <unroll/layers/rnn.h>
#include <unroll/optim/adam.h>

using namespace unroll;

namespace {

constexpr std::int32_t begin = 10, end = 11;
using Ids = std::vector<std::int32_t>;

/// An encoder-decoder of digits.
template <Real T>
struct Model {
  Embedding<T> source, target;
  Bidirectional<GRU<T>> encoder;
  AttentionDecoder<GRUCell<T>, AdditiveAttention<T>> decoder;
  Bridge<GRUCell<T>> bridge;
  Linear<T> head;

  Model(Index width, Rng& rng)
      : source(12, width, rng),
        target(12, width, rng),
        encoder(width, width, rng),
        decoder(width, GRUCell<T>(width, width, rng), AdditiveAttention<T>(width, 2 * width, width, rng), rng),
        bridge(encoder, decoder.cell, rng),
        head(width, 12, rng) {}

  auto read(Tape<T>& tape, const Tokens& words) const {
    const auto read = encoder(source(tape, words), words.lengths);
    const auto memory = decoder.remember(read.outputs, words.lengths);
    return std::pair{memory, decoder.initial(memory, bridge(read.last, decoder.cell))};
  }
  auto scores() const {
    return [this](Var<T> y) { return head(y); };
  }
  static void fields(auto& m, auto&& f) {
    f("source", m.source), f("target", m.target), f("encoder", m.encoder), f("decoder", m.decoder);
    f("bridge", m.bridge), f("head", m.head);
  }
};

/// Strings of one to six digits, and the same reversed, after `begin` and before `end`.
struct Strings {
  std::vector<Ids> plain, inputs, targets;

  Strings(Index count, Rng& rng) {
    for (Index i = 0; i < count; ++i) {
      Ids digits(static_cast<std::size_t>(1 + rng.below(6)));
      for (auto& d : digits) d = static_cast<std::int32_t>(rng.below(10));
      Ids in{begin}, out(digits.rbegin(), digits.rend());
      in.insert(in.end(), out.begin(), out.end());
      out.push_back(end);
      plain.push_back(digits), inputs.push_back(in), targets.push_back(out);
    }
  }
};

}  // namespace

TEST_CASE("decoding: an encoder-decoder with attention learns to reverse strings it never saw") {
  Rng rng{1};
  Model<float> model(32, rng);
  Adam adam(parameters(model), {.rate = 5e-3, .clip = 1.0});
  Tape tape;
  for (int i = 0; i < 350; ++i) {
    tape.rewind();
    const Strings batch(64, rng);
    const auto [memory, start] = model.read(tape, Tokens::batch(batch.plain));
    const Tokens inputs = Tokens::batch(batch.inputs), targets = Tokens::batch(batch.targets);
    const auto decoded = model.decoder(model.target(tape, inputs), start, memory, inputs.lengths);
    tape.backward(cross_entropy(model.head, decoded.outputs, targets));
    adam.step();
  }
  Rng fresh{99};
  const Strings held_out(300, fresh);
  auto inference = Tape<float>::inference();
  const auto [memory, start] = model.read(inference, Tokens::batch(held_out.plain));
  const auto written = greedy(model.decoder, start, memory, model.target, model.scores(), begin, end, 12);
  int right = 0;
  for (std::size_t b = 0; b < written.rows.size(); ++b)
    right += written.rows[b] == Ids(held_out.plain[b].rbegin(), held_out.plain[b].rend());
  MESSAGE(right, " of 300 right");
  CHECK(right >= 285);
}

TEST_CASE("decoding: scheduled sampling with probability 0 is teacher forcing") {
  Rng rng{2};
  const Model<double> model(4, rng);
  const Strings batch(5, rng);
  Tape<double> tape;
  const auto [memory, start] = model.read(tape, Tokens::batch(batch.plain));
  const Tokens inputs = Tokens::batch(batch.inputs);
  const auto forced = model.decoder(model.target(tape, inputs), start, memory, inputs.lengths);
  const auto sample = [&](double own) {
    Rng coins{3};
    return scheduled_sampling(model.decoder, inputs, start, memory, model.target, model.scores(), own, coins);
  };
  CHECK(distance(sample(0).outputs.value(), forced.outputs.value()) == 0);
  const auto almost = sample(1e-300);  // step by step, and no coin falls so low
  CHECK(distance(almost.outputs.value(), forced.outputs.value()) <= 1e-14);
  CHECK(distance(almost.weights.value(), forced.weights.value()) <= 1e-14);
  int k = 0;
  for_each_var(forced.last, [&](const Var<double>& v) {
    CHECK(distance(nth_var<double>(almost.last, k++).value(), v.value()) <= 1e-14);
  });
  const auto half = sample(0.5), again = sample(0.5);
  CHECK(distance(half.outputs.value(), again.outputs.value()) == 0);
  CHECK(distance(half.outputs.value(), forced.outputs.value()) > 1e-6);
  Rng coins{3};
  CHECK_THROWS_WITH_AS(
      scheduled_sampling(model.decoder, inputs, start, memory, model.target, model.scores(), 1.5, coins),
      "scheduled_sampling: the probability 1.5 is not in 0 .. 1", ValueError);
}

TEST_CASE("decoding: scheduled sampling with probability 1 reads what greedy decoding writes") {
  Rng rng{4};
  const Model<double> model(4, rng);
  const Strings batch(3, rng);
  Tape<double> tape;
  const auto [memory, start] = model.read(tape, Tokens::batch(batch.plain));
  const auto written = greedy(model.decoder, start, memory, model.target, model.scores(), begin, -2, 6);
  CHECK(written.weights.shape()[0] == 6);
  const Tokens inputs(6, 3, Ids(18, begin));
  Rng coins{5};
  const auto own = scheduled_sampling(model.decoder, inputs, start, memory, model.target, model.scores(), 1, coins);
  const auto found = detail::likeliest<double>(reshape(model.head(own.outputs), {18, 12}));
  for (std::size_t b = 0; b < 3; ++b)
    for (std::size_t t = 0; t < 6; ++t) CHECK(found[t * 3 + b] == written.rows[b][t]);
}

TEST_CASE("decoding: greedy rows end at their own end, and the steps when all have") {
  Rng rng{6};
  Model<double> model(4, rng);
  const Strings batch(4, rng);
  std::fill(model.head.weight.edit().begin(), model.head.weight.edit().end(), 0.0);
  model.head.bias.edit()(end) = 9;
  auto tape = Tape<double>::inference();
  const auto [memory, start] = model.read(tape, Tokens::batch(batch.plain));
  const auto written = greedy(model.decoder, start, memory, model.target, model.scores(), begin, end, 12);
  CHECK(written.weights.shape()[0] == 1);
  for (const Ids& row : written.rows) CHECK(row.empty());
  CHECK_THROWS_WITH_AS(greedy(model.decoder, start, memory, model.target, model.scores(), begin, end, 0),
                       "greedy: 0 steps", ValueError);
}

TEST_CASE("decoding: gradients of the whole encoder-decoder, sampling its own symbols, agree with differences") {
  Rng rng{7};
  Model<double> model(3, rng);
  const Strings batch(3, rng);
  const Tokens words = Tokens::batch(batch.plain), inputs = Tokens::batch(batch.inputs),
               targets = Tokens::batch(batch.targets);
  const auto report = check_gradients(
      [&](Tape<double>& tape) {
        Rng coins{8};
        const auto [memory, start] = model.read(tape, words);
        const auto decoded =
            scheduled_sampling(model.decoder, inputs, start, memory, model.target, model.scores(), 0.3, coins);
        return cross_entropy(model.head, decoded.outputs, targets);
      },
      parameters<double>(model));
  INFO(report.text());
  CHECK(report);
}
