#include <doctest/doctest.h>

#include <vector>

#include <unroll/autograd/autograd.h>
#include <unroll/autograd/tensor/denormals.h>
#include <unroll/optim/optim.h>

using namespace unroll;

namespace {

/// Whether this thread still makes denormal numbers.
bool denormals_live() {
  volatile float small = 1e-20F;
  return small * small != 0;
}

}  // namespace

TEST_CASE("denormals: flushed while a scope lives, and then as before") {
  REQUIRE(denormals_live());
  {
    const FlushDenormals outer;
    CHECK_FALSE(denormals_live());
    { const FlushDenormals inner; }
    CHECK_FALSE(denormals_live());
  }
  CHECK(denormals_live());
}

TEST_CASE_TEMPLATE("denormals: forward, backward and update flush them, and leave the caller's setting", T, float,
                   double) {
  const T small = std::sqrt(std::numeric_limits<T>::min()) / 16;
  Tape<T> tape;
  const std::vector<T> values(64, small);
  const Var<T> x = tape.variable(Shape{8, 8}, values);
  const Var<T> squares = x * x;
  CHECK(squares.value()(0, 5) == 0);
  const Var<T> product = matmul(x, x);
  CHECK(product.value()(0, 5) == 0);
  CHECK((tape.variable(small) * small).value()() == 0);  // of one element, too
  CHECK(denormals_live());
  const Var<T> total = sum(x * small);
  tape.backward(total);
  CHECK(denormals_live());
  // d(sum(small x^2)) = 2 small x, which would be denormal.
  const Var<T> y = tape.variable(Shape{8, 8}, values);
  tape.backward(sum(small * square(y)));
  CHECK(y.grad()(0, 5) == 0);
  CHECK_THROWS_AS(matmul(x, tape.constant(Shape{3, 3}, std::vector<T>(9, T(1)))), ShapeError);
  CHECK(denormals_live());

  Parameter<T> p(make_tensor<T>({64}, small));
  SGD<T> sgd({&p}, {.rate = static_cast<double>(small)});
  tape.rewind();
  tape.backward(sum(tape.use(p) * small));
  sgd.step();
  CHECK(denormals_live());
  const FlushDenormals caller;
  tape.rewind();
  tape.backward(sum(tape.use(p) * T(2)));
  sgd.step();
  CHECK_FALSE(denormals_live());
}
