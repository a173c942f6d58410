// A project of its own that uses the library: the losses of a small language model, which must fall.
#include <unroll/layers/layers.h>
#include <unroll/models/data/text.h>
#include <unroll/optim/adam.h>

using namespace unroll;

struct Model {
  Embedding<> embed;
  LSTM<> rnn;
  Linear<> head;
  static void fields(auto& m, auto&& f) { f("embed", m.embed), f("rnn", m.rnn), f("head", m.head); }
};

int main() {
  const Text text = Text::of("the cell keeps what the gates let pass, and the gates learn what the cell should keep.");
  const Index symbols = text.vocabulary();
  Rng rng{1};
  Model model{{symbols, 8, rng}, {8, 16, rng}, {16, symbols, rng}};
  Adam adam(parameters(model), {.rate = 0.02});
  Tape tape;
  float first = 0, last = 0;
  for (int epoch = 0; epoch < 200; ++epoch)
    for (const auto& [inputs, targets] : text.windows({.batch = 3, .steps = 64})) {
      const Var<> loss = cross_entropy(model.head(model.rnn(model.embed(tape, inputs))), targets);
      tape.backward(loss);
      adam.step();
      last = loss.item();
      if (epoch == 0) first = last;
      tape.rewind();
    }
  fmt::print("loss {:.4f} -> {:.4f}\n", first, last);
  return last < 0.5f * first ? 0 : 1;
}
