#include <autograd/ops/reference.h>

using namespace unroll;
using namespace unroll::testing;

namespace {

template <Real T>
struct Pair {
  Var<T> first, second;
  static void fields(auto& m, auto&& f) { f("first", m.first), f("second", m.second); }
};

/// Two values of which the second is a part of the first, from two operands and a parameter.
template <Real T>
Pair<T> two_values(const Pair<T>& v, const Parameter<T>& w) {
  const Var<T> y = tanh(v.first * v.second) * w;
  return {y, slice(y, 1, 1, 3)};
}

}  // namespace

// row("checkpoint") has a function among its arguments: what it computes must be what the function alone would.
TEST_CASE_TEMPLATE("checkpoint: values and gradients are those of the function", T, float, double) {
  Rng rng{4};
  const auto normal = [&] {
    Tensor<T> x = make_tensor<T>({3, 4});
    for (T& v : x) v = static_cast<T>(rng.normal());
    return x;
  };
  const Tensor<T> a = normal(), b = normal();
  const Parameter<T> w(normal());
  const auto run = [&](bool keep) {
    Tape<T> tape(9);
    const Var<T> x = tape.variable(a), y = tape.variable(b);
    const Parameter<T>* p = &w;
    const auto f = [p](Tape<T>&, const Pair<T>& v) { return two_values(v, *p); };
    const Pair<T> in{x * 2, y};
    const Pair<T> out = keep ? f(tape, in) : checkpoint(tape, in, f);
    Gradients<T> found;
    tape.backward(sum(square(out.first)) + sum(out.second * 3), found);
    return std::vector<Tensor<T>>{out.first.value(), out.second.value(), x.grad(), y.grad(), found.of(w).values()};
  };
  const auto plain = run(true), again = run(false);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    CAPTURE(i);
    CHECK(plain[i] == again[i]);
  }
}

TEST_CASE("checkpoint: results that nobody uses are not computed again") {
  static int calls = 0;
  Tape<double> tape;
  const Var<double> x = tape.variable(Tensor<double>{1, 2});
  const Var<double> unused =
      checkpoint(tape, x, [](Tape<double>&, Var<double> v) { return ++calls, Var<double>(exp(v)); });
  CHECK(unused.shape() == Shape{2});
  tape.backward(sum(x));
  CHECK(calls == 1);
}
