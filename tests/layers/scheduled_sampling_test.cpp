#include <layers/compare.h>
#include <unroll/autograd/check/gradients.h>
#include <unroll/layers/attention/additive_attention.h>
#include <unroll/layers/bridge.h>
#include <unroll/layers/decoding/beam_search.h>
#include <unroll/layers/decoding/generate.h>
#include <unroll/layers/rnn.h>
#include <unroll/layers/scheduled_sampling.h>
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
  /// One step, as decoders take it.
  auto step() const {
    return [this](Tape<T>& tape, std::span<const std::int32_t> words, const auto& state,
                  const AttentionMemory<T>& memory) {
      const auto one = decoder.step(target(tape, words, Shape{static_cast<Index>(words.size())}), state, memory);
      return DecoderOutput(Var<T>(head(one.output)), one.state, one.weights);
    };
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

TEST_CASE("scheduled sampling: an encoder-decoder with attention learns to reverse strings it never saw") {
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
  const Ids firsts(300, begin);
  const auto written = greedy(inference, start, firsts, model.step(), {.steps = 12, .end = end}, memory);
  int right = 0;
  for (std::size_t b = 0; b < written.size(); ++b)
    right += written[b].tokens == Ids(held_out.plain[b].rbegin(), held_out.plain[b].rend());
  MESSAGE(right, " of 300 right");
  CHECK(right >= 285);

  // A beam sees the same sources: each as many times as it has rows.
  constexpr Index width = 3;
  std::vector<Index> sources;
  for (Index b = 0; b < 300; ++b) sources.insert(sources.end(), width, b);
  const auto beams = beam_search(inference, start, firsts, model.step(),
                                 {.width = width, .steps = 12, .end = end, .best = 2}, memory.select(sources));
  int beam_right = 0;
  for (std::size_t b = 0; b < beams.size(); ++b) {
    REQUIRE(beams[b].size() == 2);
    CHECK(beams[b][0].log_probability >= written[b].log_probability - 1e-4);
    beam_right += beams[b][0].tokens == Ids(held_out.plain[b].rbegin(), held_out.plain[b].rend());
  }
  MESSAGE(beam_right, " of 300 right in a beam");
  CHECK(beam_right >= 285);
}

TEST_CASE("scheduled sampling: with probability 0 is teacher forcing") {
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

TEST_CASE("scheduled sampling: with probability 1 reads what greedy decoding writes") {
  Rng rng{4};
  const Model<double> model(4, rng);
  const Strings batch(3, rng);
  Tape<double> tape;
  const auto [memory, start] = model.read(tape, Tokens::batch(batch.plain));
  const auto written = greedy(tape, start, Ids(3, begin), model.step(), {.steps = 6}, memory);
  const Tokens inputs(6, 3, Ids(18, begin));
  Rng coins{5};
  const auto own = scheduled_sampling(model.decoder, inputs, start, memory, model.target, model.scores(), 1, coins);
  const auto found = detail::likeliest<double>(reshape(model.head(own.outputs), {18, 12}));
  for (std::size_t b = 0; b < 3; ++b)
    for (std::size_t t = 0; t < 6; ++t) CHECK(found[t * 3 + b] == written[b].tokens[t]);
}

TEST_CASE("scheduled sampling: gradients of the whole encoder-decoder, sampling its own symbols, agree with differences") {
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
