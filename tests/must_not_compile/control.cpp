// compiles
// What the other files get wrong, done right: the runner must accept this one.
#include <unroll/layers/layers.h>

using namespace unroll;

struct Twice {
  static constexpr const char* name = "twice";
  Var<float> x;
  void forward(Var<float> y) const {
    for (Index i = 0; i < x.shape().size(); ++i) result(y).data[i] = 2 * values(x).data[i];
  }
  void backward(Var<float> y) const {
    for (Index i = 0; i < x.shape().size(); ++i) gradient(x).data[i] += 2 * gradient(y).data[i];
  }
};

void right(Tape<float>& single, Tape<double>& real, Parameter<float>& parameter, Rng& rng) {
  Recurrent<RNNCell<double>> recurrent(2, 3, rng);
  parameters<double>(recurrent);
  Var<float> one = single.constant(1.0f);
  Var<double> two = real.constant(2.0);
  Var<float> sum = one + 3;
  Var<double> product = 2 * two;
  record(one.shape(), Twice{one}, one);
  parameter.edit()(0) = 1.0f;
  Tape<float>& same = single;
  same.rewind();
}
