#include <layers/compare.h>
#include <unroll/autograd/check/gradients.h>

using namespace unroll;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// [3 steps, 2 rows, 2], the second row one step long.
Tensor<double> sequence(double padding) {
  Tensor<double> x = make_tensor<double>({3, 2, 2});
  std::copy_n(std::array{1.0, -2.0, 5.0, 6.0, 3.0, -8.0, padding, padding, 2.0, -5.0, padding, padding}.begin(), 12,
              x.begin());
  return x;
}
const std::vector<Index> lengths{3, 1};

Tensor<double> two_by_two(std::array<double, 4> v) {
  Tensor<double> t = make_tensor<double>({2, 2});
  std::copy(v.begin(), v.end(), t.begin());
  return t;
}

}  // namespace

TEST_CASE("pooling: mean and maximum over the valid steps, padding not read") {
  Tape<double> tape;
  for (const double padding : {not_a_number, 1e300}) {
    const auto x = tape.variable(sequence(padding));
    CHECK(distance(mean_over_time(x, lengths).value(), two_by_two({2, -5, 5, 6})) <= 1e-15);
    CHECK(distance(max_over_time(x, lengths).value(), two_by_two({3, -2, 5, 6})) == 0);
  }
  const auto x = tape.variable(sequence(0));
  CHECK(distance(mean_over_time(x).value(), two_by_two({2, -5, 5.0 / 3, 2})) <= 1e-15);
  CHECK(distance(max_over_time(x).value(), two_by_two({3, -2, 5, 6})) == 0);
}

TEST_CASE("pooling: gradients reach the valid steps only") {
  for (const bool largest : {false, true}) {
    Tape<double> tape;
    const auto x = tape.variable(sequence(not_a_number));
    tape.backward(sum(largest ? max_over_time(x, lengths) : mean_over_time(x, lengths)));
    const auto g = x.grad();
    for (std::size_t j = 0; j < 2; ++j) {
      CHECK(g(0, 1, j) == 1);
      CHECK(g(1, 1, j) == 0);
      CHECK(g(2, 1, j) == 0);
      CHECK(g(0, 0, j) + g(1, 0, j) + g(2, 0, j) == doctest::Approx(1));
    }
  }
  Rng rng{1};
  Parameter<double> x(random_tensor({4, 3, 2}, rng));
  const std::vector<Index> ragged{4, 1, 3};
  const auto report = check_gradients(
      [&](Tape<double>& tape) {
        const auto v = tape.use(x);
        return sum(square(mean_over_time(v, ragged)) + max_over_time(v, ragged) * mean_over_time(v));
      },
      {&x});
  INFO(report.text());
  CHECK(report);
}

TEST_CASE("pooling: of what a layer returned, directly") {
  Rng rng{1};
  const GRU<double> gru(2, 3, rng);
  Tape<double> tape;
  const auto h = gru(tape.constant(sequence(not_a_number)), lengths);
  CHECK(mean_over_time(h, lengths).shape() == Shape{2, 3});
  CHECK(distance(max_over_time(h, lengths)[1].value(), h.last[1].value()) == 0);
}

TEST_CASE("pooling: a row without a step and lengths that do not fit are errors") {
  Tape<double> tape;
  const auto x = tape.zeros({3, 2, 2});
  CHECK_THROWS_WITH_AS(mean_over_time(x, std::vector<Index>{3, 0}),
                       "mean_over_time: length 0 of row 1 in the sequence [3, 2, 2]", ValueError);
  CHECK_THROWS_WITH_AS(max_over_time(x, std::vector<Index>{3}), "max_over_time: 1 lengths for the sequence [3, 2, 2]",
                       ShapeError);
  CHECK_THROWS_WITH_AS(max_over_time(tape.zeros({3, 2})),
                       "max_over_time: a sequence [time, batch, width] is needed, not [3, 2]", ShapeError);
  CHECK_THROWS_AS(mean_over_time(tape.zeros({0, 2, 2})), ValueError);
}
