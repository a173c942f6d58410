#include <doctest/doctest.h>

#include <unroll/autograd/autograd.h>

using namespace unroll;

namespace {

Parameter<double> of_ones(Index n) { return Parameter<double>(make_tensor<double>({n}, 1.0)); }

}  // namespace

TEST_CASE("parameter: what is assigned to it is an edit, whatever was assigned") {
  Parameter<double> p = of_ones(3), q = of_ones(5);
  Tape<double> tape;
  const Var<double> y = sum(square(tape.use(p)));
  p = q;
  CHECK_THROWS_AS(tape.backward(y), TapeError);
  CHECK(sum(tape.use(p)).item() == 5);
}

TEST_CASE("parameter: gradients kept apart follow what comes to lie where another one was") {
  Parameter<double> p = of_ones(2);
  Gradients<double> apart;
  Tape<double> tape;
  tape.backward(sum(square(tape.use(p))), apart);
  apart.deliver();
  CHECK(p.grad()(1) == 2);
  p = of_ones(1000);
  tape.rewind();
  tape.backward(sum(square(tape.use(p))), apart);
  CHECK(apart.of(p).shape() == Shape{1000});
  apart.deliver();
  CHECK(p.grad()(999) == 2);
}

TEST_CASE("parameter: gradients of what is gone are not delivered") {
  Gradients<double> apart;
  auto gone = std::make_unique<Parameter<double>>(of_ones(2));
  apart.of(*gone);
  gone.reset();
  apart.deliver();
}
