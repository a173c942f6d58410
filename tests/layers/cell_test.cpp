#include <layers/compare.h>
#include <layers/mgu_cell.h>
#include <unroll/layers/check_cell.h>

using namespace unroll;

// One row per cell.

namespace {

template <Real T>
using LearnedRNN = LearnedInitial<RNNCell<T>>;
template <Real T>
using LearnedGRU = LearnedInitial<GRUCell<T>>;
template <Real T>
using LearnedGRUResetBefore = LearnedInitial<GRUResetBeforeCell<T>>;
template <Real T>
using LearnedLSTM = LearnedInitial<LSTMCell<T>>;

void expect(const GradientReport& report) {
  INFO(report.text());
  CHECK(report);
  CHECK(report.entries > 1000);
}

}  // namespace

TEST_CASE("cell: rnn with tanh") { expect(check_cell<RNNCell>({.in = 3, .width = 4})); }
TEST_CASE("cell: rnn with relu") {
  // Differences need a seed where no unit comes near the kink.
  const auto make = [](Index in, Index width, Rng& rng) { return RNNCell<double>(in, width, rng, Activation::relu); };
  expect(check_cell(make, {.seed = 4}));
}
TEST_CASE("cell: gru") { expect(check_cell<GRUCell>()); }
TEST_CASE("cell: gru with the reset before the product") { expect(check_cell<GRUResetBeforeCell>()); }
TEST_CASE("cell: lstm") { expect(check_cell<LSTMCell>()); }
TEST_CASE("cell: a user's minimal gated unit") { expect(check_cell<MGUCell>({.in = 3, .width = 4})); }
TEST_CASE("cell: rnn with a learned initial state") { expect(check_cell<LearnedRNN>()); }
TEST_CASE("cell: gru with a learned initial state") { expect(check_cell<LearnedGRU>()); }
TEST_CASE("cell: gru, reset before, with a learned initial state") { expect(check_cell<LearnedGRUResetBefore>()); }
TEST_CASE("cell: lstm with a learned initial state") { expect(check_cell<LearnedLSTM>()); }
TEST_CASE("cell: a width that fills no vector, and one that fills some") {
  expect(check_cell<LSTMCell>({.in = 1, .width = 3}));
  expect(check_cell<GRUCell>({.in = 2, .width = 7, .seed = 2}));
}
