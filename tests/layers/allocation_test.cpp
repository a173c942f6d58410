#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include <unroll/layers/layers.h>
#include <unroll/optim/adam.h>

// Counts what operator new hands out while a flag is set.

namespace {
std::atomic<bool> counting = false;
std::atomic<long> allocations = 0;
}  // namespace

void* operator new(std::size_t size) {
  if (counting) ++allocations;
  if (void* p = std::malloc(size == 0 ? 1 : size)) return p;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  if (counting) ++allocations;
  return std::malloc(size == 0 ? 1 : size);
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

using namespace unroll;

namespace {

template <class L>
struct Reader {
  Embedding<> embed;
  L rnn;
  Linear<> head;
  static void fields(auto& m, auto&& f) { f("embed", m.embed), f("rnn", m.rnn), f("head", m.head); }
};

/// Allocations of the training steps after the third.
template <class L>
long steady_allocations(L rnn, Index width, bool ragged) {
  Rng rng{1};
  Reader<L> model{{20, 6, rng}, std::move(rnn), {width, 20, rng}};
  Adam adam(parameters(model), {.rate = 1e-3, .clip = 1.0});
  Tape tape;
  const Index time = 9, batch = 4;
  Tokens inputs(time, batch, std::vector<std::int32_t>(static_cast<std::size_t>(time * batch), 3));
  const std::vector<Index> lengths = ragged ? std::vector<Index>{9, 2, 5, 1} : std::vector<Index>{};
  auto state = model.rnn.initial(tape, batch);
  for (int i = 0; i < 8; ++i) {
    if (i == 3) {
      allocations = 0;
      counting = true;
    }
    const auto xs = dropout(model.embed(tape, inputs), 0.2);
    const auto [hs, last] = model.rnn(xs, state, lengths);
    const auto loss = cross_entropy(model.head(hs), inputs);
    tape.backward(loss);
    adam.step();
    state = tape.restart(last);
  }
  counting = false;
  return allocations;
}

struct Tagger {
  Embedding<> embed;
  Linear<> emit;
  LinearChainCrf<> crf;
  static void fields(auto& m, auto&& f) { f("embed", m.embed), f("emit", m.emit), f("crf", m.crf); }
};

/// The same of a field over the outputs of a network.
long field_allocations(bool ragged) {
  Rng rng{1};
  Tagger model{{20, 6, rng}, {6, 5, rng}, {5, rng, bio_constraint({"O", "B-x", "I-x", "B-y", "I-y"})}};
  Adam adam(parameters(model), {.rate = 1e-3, .clip = 1.0});
  Tape tape;
  const Tokens inputs(9, 4, std::vector<std::int32_t>(36, 3));
  const std::vector<std::int32_t> labels(36, 1);
  const std::vector<Index> lengths = ragged ? std::vector<Index>{9, 2, 5, 1} : std::vector<Index>{};
  for (int i = 0; i < 8; ++i) {
    if (i == 3) {
      allocations = 0;
      counting = true;
    }
    tape.backward(model.crf.loss(model.emit(model.embed(tape, inputs)), labels, lengths));
    adam.step();
    tape.rewind();
  }
  counting = false;
  return allocations;
}

}  // namespace

TEST_CASE("allocation: a steady training step of a conditional random field allocates nothing") {
  CHECK(field_allocations(false) == 0);
  CHECK(field_allocations(true) == 0);
}

TEST_CASE("allocation: a steady training step allocates nothing") {
  Rng rng{2};
  for (const bool ragged : {false, true}) {
    CAPTURE(ragged);
    CHECK(steady_allocations(LSTM<>(6, 8, rng), 8, ragged) == 0);
    CHECK(steady_allocations(GRU<>(6, 8, rng), 8, ragged) == 0);
    CHECK(steady_allocations(RNN<>(6, 8, rng), 8, ragged) == 0);
    CHECK(steady_allocations(Stacked<GRUResetBefore<>>(6, 8, 3, rng, 0.1), 8, ragged) == 0);
    CHECK(steady_allocations(Stacked<Bidirectional<LSTM<>>>(6, 8, 2, rng), 16, ragged) == 0);
  }
}

TEST_CASE("allocation: the counter counts") {
  counting = true;
  allocations = 0;
  const std::vector<int> three(3);
  counting = false;
  CHECK(allocations == 1);
  CHECK(three.size() == 3);
}
