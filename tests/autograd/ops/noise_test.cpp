#include <autograd/ops/reference.h>

using namespace unroll;
using namespace unroll::testing;

namespace {

Array ones(const Shape& shape) { return make_tensor<double>(shape, 1.0); }

/// The factors of dropout at the start of a tape's sequence.
Array factors(const Shape& shape, double rate) {
  Array f = make_tensor<double>(shape);
  for (std::size_t i = 0; i < f.size(); ++i) f.data()[i] = Rng::uniform(0, i) < rate ? 0 : 1 / (1 - rate);
  return f;
}

std::vector<Row> noise_rows() {
  const Shape shape{2, 3, 4};
  std::vector<Row> rows;
  for (const double rate : {0.0, 0.25, 0.9})
    rows.push_back(row(
        "dropout", fmt::format("rate {}", rate), {shape},
        [rate](auto v) {
          v[0].tape().rng().seek(0);
          return dropout(v[0], rate);
        },
        [=](const Arrays& x) { return Array(x[0] * factors(shape, rate)); }, {.forward = {2}, .backward = {2}}));
  rows.push_back(row(
      "gaussian_noise", "", {shape},
      [](auto v) {
        v[0].tape().rng().seek(0);
        return gaussian_noise(v[0], 0.5);
      },
      [=](const Arrays& x) {
        Array y = x[0];
        for (std::size_t i = 0; i < y.size(); ++i) y.data()[i] += 0.5 * Rng::normal(0, i);
        return y;
      },
      {.forward = {.relative = 1, .absolute = 4}}));
  return rows;
}

}  // namespace

TEST_CASE("noise: every row") {
  for (const Row& r : noise_rows()) {
    INFO(r.name, ", ", r.variant);
    Tape<double> tape;
    const Arrays x = draw(r);
    CHECK(excess(value_of(r.in_double(enter(tape, r, x))), r.reference(x), r.options.forward, u_double) == 0);
    check_gradient(r);
    check_jacobian(r);
    check_twice(r);
    check_strided(r);
    check_float(r);
    check_contracts(r);
  }
}

TEST_CASE("noise: one mask forward and backward, another for each use and each pass, the same again after seek") {
  Tape<double> tape(42);
  const Var<double> x = tape.variable(ones({64})), y = dropout(x, 0.5), z = dropout(x, 0.5);
  const Array first = value_of(y), second = value_of(z);
  CHECK(first != second);
  CHECK(tape.gradient(y, ones({64}), x) == first);
  CHECK(tape.gradient(z, ones({64}), x) == second);
  tape.rewind();
  CHECK(tape.rng().position() == 128);
  CHECK(value_of(dropout(tape.variable(ones({64})), 0.5)) != first);
  tape.rng().seek(0);
  CHECK(value_of(dropout(tape.variable(ones({64})), 0.5)) == first);
  CHECK(value_of(dropout(tape.variable(ones({64})), 0.5)) == second);
  Tape<double> same(42), other(43);
  CHECK(value_of(dropout(same.variable(ones({64})), 0.5)) == first);
  CHECK(value_of(dropout(other.variable(ones({64})), 0.5)) != first);
}

TEST_CASE("noise: dropout keeps the mean and drops its share") {
  constexpr double n = 200000;
  for (const double rate : {0.1, 0.5, 0.8}) {
    CAPTURE(rate);
    Tape<double> tape(7);
    const Array y = value_of(dropout(tape.constant(ones({static_cast<Index>(n)})), rate));
    const double kept = static_cast<double>(std::count_if(y.begin(), y.end(), [](double v) { return v != 0; })) / n;
    const double deviation = std::sqrt(rate * (1 - rate) / n);
    CHECK(std::abs(kept - (1 - rate)) < 4 * deviation);
    CHECK(std::abs(xt::mean(y)() - 1) < 4 * deviation / (1 - rate));
  }
}

TEST_CASE("noise: gaussian noise has the deviation that was asked for") {
  constexpr Index n = 200000;
  Tape<double> tape(7);
  const Array e = value_of(gaussian_noise(tape.constant(ones({n})), 0.3)) - 1.0;
  CHECK(std::abs(xt::mean(e)()) < 4 * 0.3 / std::sqrt(n));
  CHECK(std::sqrt(xt::mean(xt::square(e))()) == doctest::Approx(0.3).epsilon(4 / std::sqrt(2.0 * n)));
}

TEST_CASE("noise: the identity on an inference tape, which draws nothing") {
  Tape<float> tape = Tape<float>::inference();
  const Var<float> x = tape.constant(Tensor<float>{1, 2, 3});
  CHECK(dropout(x, 0.9).index() == x.index());
  CHECK(gaussian_noise(x, 2).index() == x.index());
  CHECK(tape.rng().position() == 0);
}

TEST_CASE("noise: a dropped NaN or infinity is gone") {
  Tape<float> tape;
  const Var<float> x = tape.variable(make_tensor<float>({64}, NAN)), y = dropout(x, 0.5);
  Index gone = 0;
  for (const float v : y.value()) gone += v == 0;
  CHECK(gone > 16);
  CHECK(gone < 48);
}

TEST_CASE("noise: rates and deviations out of range are refused") {
  Tape<float> tape;
  const Var<float> x = tape.constant(Tensor<float>{1, 2});
  CHECK_THROWS_WITH_AS(dropout(x, 1), "dropout: the rate 1 is not in 0 <= rate < 1", ValueError);
  CHECK_THROWS_AS(dropout(x, -0.1), ValueError);
  CHECK_THROWS_AS(dropout(x, NAN), ValueError);
  CHECK_THROWS_WITH_AS(gaussian_noise(x, -1), "gaussian_noise: the deviation -1 is negative", ValueError);
  CHECK_THROWS_AS(gaussian_noise(x, NAN), ValueError);
}
