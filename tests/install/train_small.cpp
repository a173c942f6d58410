// A project of its own that uses the library: the losses of a small LSTM, which must fall.
#include <unroll/layers/layers.h>
#include <unroll/optim/adam.h>

using namespace unroll;

int main() {
  Rng rng{1};
  LSTM<> rnn{4, 16, rng};
  Linear<> head{16, 5, rng};
  std::vector<Parameter<>*> all = parameters(rnn);
  for (Parameter<>* p : parameters(head)) all.push_back(p);
  Adam adam(all, {.rate = 0.02});
  Tape tape;
  const Tensor<> xs = init::normal<float>({6, 3, 4}, 1.0, rng);
  const std::vector<std::int32_t> classes{0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2};
  float first = 0, last = 0;
  for (int step = 0; step < 200; ++step) {
    const Var<> loss = cross_entropy(head(rnn(tape.constant(xs))), classes);
    tape.backward(loss);
    adam.step();
    last = loss.item();
    if (step == 0) first = last;
    tape.rewind();
  }
  fmt::print("loss {:.4f} -> {:.4f}\n", first, last);
  return last < 0.5f * first ? 0 : 1;
}
