#include <doctest/doctest.h>

#include <unroll/optim/schedule.h>

using namespace unroll;
using doctest::Approx;

TEST_CASE("schedule: step decay jumps, exponential decay does not") {
  const StepDecay jumps{.rate = 0.8, .factor = 0.5, .every = 10};
  CHECK(jumps(0) == 0.8);
  CHECK(jumps(9) == 0.8);
  CHECK(jumps(10) == Approx(0.4));
  CHECK(jumps(29) == Approx(0.2));
  const ExponentialDecay smooth{.rate = 0.8, .factor = 0.25, .every = 10};
  CHECK(smooth(0) == 0.8);
  CHECK(smooth(5) == Approx(0.4));
  CHECK(smooth(20) == Approx(0.05));
}

TEST_CASE("schedule: cosine decay falls by half at half time and stays at its last rate") {
  const CosineDecay cosine{.rate = 1, .steps = 100, .last = 0.2};
  CHECK(cosine(0) == Approx(1));
  CHECK(cosine(50) == Approx(0.6));
  CHECK(cosine(25) == Approx(0.2 + 0.8 * (1 + std::sqrt(0.5)) / 2));
  CHECK(cosine(100) == Approx(0.2));
  CHECK(cosine(1000) == Approx(0.2));
}

TEST_CASE("schedule: warm up rises to the first rate of what follows") {
  const WarmUp warm{4, CosineDecay{.rate = 1, .steps = 10}};
  CHECK(warm(0) == Approx(0.25));
  CHECK(warm(3) == Approx(1));
  CHECK(warm(4) == Approx(1));
  CHECK(warm(9) == Approx(0.5));
  CHECK(warm(14) == Approx(0).epsilon(1e-12));
}

TEST_CASE("schedule: plateau lowers the rate when the loss has not fallen for longer than its patience") {
  Plateau plateau(1, 0.5, 1, 0.2);
  CHECK(plateau.report(10) == 1);
  CHECK(plateau.report(10) == 1);
  CHECK(plateau.report(11) == 0.5);
  CHECK(plateau.report(9) == 0.5);
  CHECK(plateau.report(9.5) == 0.5);
  CHECK(plateau.report(8) == 0.5);
  for (int i = 0; i < 8; ++i) plateau.report(8);
  CHECK(plateau.rate() == 0.2);
  CHECK_THROWS_WITH_AS(Plateau(1, 1.5), "plateau: the factor 1.5 is not in 0 < factor < 1", ValueError);
}

TEST_CASE("schedule: a loss that is not a number counts as no progress") {
  Plateau plateau(1, 0.5);
  plateau.report(3);
  CHECK(plateau.report(std::nan("")) == 0.5);
}
