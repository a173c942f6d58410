// What a user's file costs to compile: compile_cost.sh measures this one.
#include <unroll/layers/layers.h>
#include <unroll/optim/adam.h>

using namespace unroll;

struct Model {
  Embedding<> embed;
  LSTM<> rnn;
  Linear<> head;
  static void fields(auto& m, auto&& f) { f("embed", m.embed), f("rnn", m.rnn), f("head", m.head); }
};

int main() {
  Rng rng{1};
  Model model{{20, 8, rng}, {8, 16, rng}, {16, 20, rng}};
  Adam adam(parameters(model), {.rate = 1e-2, .clip = 5.0});
  Tape tape;
  const Tokens tokens(3, 4, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  for (int step = 0; step < 100; ++step) {
    auto [hs, last] = model.rnn(model.embed(tape, tokens));
    auto loss = cross_entropy(model.head(hs), tokens.ids);
    tape.backward(loss);
    adam.step();
    fmt::print("{:.3f}\n", loss.item());
    tape.rewind();
  }
}
