#include <unroll/autograd/ops/ctc.h>

#include <autograd/ops/reference.h>

using namespace unroll;
using namespace unroll::testing;

namespace {

constexpr Index frames = 5, batch = 4, classes = 3;

/// What an alignment spells: repetitions are joined, then blanks left out.
std::vector<std::int32_t> spelled(const std::vector<std::int32_t>& alignment, std::int32_t blank) {
  std::vector<std::int32_t> labels;
  for (std::size_t t = 0; t < alignment.size(); ++t)
    if (alignment[t] != blank && (t == 0 || alignment[t] != alignment[t - 1])) labels.push_back(alignment[t]);
  return labels;
}

/// Minus the logarithm of the summed probabilities of all alignments that spell the target.
double loss_of_row(const Array& logits, Index row, Index steps, const std::vector<std::int32_t>& target,
                   std::int32_t blank) {
  double probability = 0;
  std::vector<std::int32_t> alignment(static_cast<std::size_t>(steps), 0);
  for (bool more = true; more;) {
    if (spelled(alignment, blank) == target) {
      double p = 1;
      for (Index t = 0; t < steps; ++t) {
        double sum = 0;
        for (Index c = 0; c < classes; ++c) sum += std::exp(logits(t, row, c));
        p *= std::exp(logits(t, row, alignment[static_cast<std::size_t>(t)])) / sum;
      }
      probability += p;
    }
    more = false;
    for (auto& symbol : alignment) {
      more = ++symbol < classes;
      if (more) break;
      symbol = 0;
    }
  }
  return -std::log(probability);
}

double loss_of(const Array& logits, const Labels& targets, const std::vector<Index>& lengths, const CtcOptions& o) {
  double total = 0;
  for (Index b = 0; b < batch; ++b) {
    const auto& target = targets[static_cast<std::size_t>(b)];
    const Index steps = lengths.empty() ? frames : lengths[static_cast<std::size_t>(b)];
    const double loss = loss_of_row(logits, b, steps, target, o.blank);
    if (o.reduction == Reduction::sum)
      total += loss;
    else
      total += loss / (batch * std::max<double>(1, static_cast<double>(target.size())));
  }
  return total;
}

const std::vector<Index> ragged{5, 3, 4, 1};

std::vector<Row> ctc_rows() {
  std::vector<Row> rows;
  const auto add = [&](const char* variant, Labels targets, std::vector<Index> lengths, CtcOptions o) {
    // Rounding errors of 20 logarithms of size up to 10.
    rows.push_back(row(
        "ctc_loss", variant, {{frames, batch, classes}}, [=](auto x) { return ctc_loss(x[0], targets, lengths, o); },
        [=](const Arrays& x) { return Array(loss_of(x[0], targets, lengths, o)); },
        {.forward = {.absolute = 1024}, .backward = {.absolute = 1024}}));
  };
  add("equal lengths", {{1, 2}, {2}, {1, 2, 1}, {2, 2}}, {}, {});
  add("ragged, with repeated labels", {{1, 1, 2}, {2}, {1, 1}, {2}}, ragged, {});
  add("empty targets", {{}, {1}, {}, {}}, ragged, {});
  add("another blank, a sum", {{0, 1}, {1, 0}, {0, 0}, {1}}, ragged, {.blank = 2, .reduction = Reduction::sum});
  return rows;
}

}  // namespace

TEST_CASE("ctc: every row") {
  for (const Row& r : ctc_rows()) check_row(r);
}

TEST_CASE("ctc: what lies in the padding changes nothing, not even NaN") {
  Rng rng(5);
  Array x = make_tensor<double>({frames, batch, classes});
  for (double& v : x) v = rng.normal();
  const Labels targets{{1, 2}, {2}, {1, 1}, {}};
  const auto run = [&](const Array& logits) {
    Tape<double> tape;
    const Var<double> v = tape.variable(logits), loss = ctc_loss(v, targets, ragged);
    tape.backward(loss);
    return Arrays{value_of(loss), Array(v.grad())};
  };
  const Arrays want = run(x);
  for (Index t = 0; t < frames; ++t)
    for (Index b = 0; b < batch; ++b)
      for (Index c = 0; c < classes; ++c)
        if (t >= ragged[static_cast<std::size_t>(b)]) x(t, b, c) = NAN;
  CHECK(run(x) == want);
}

TEST_CASE("ctc: a target that no alignment produces is infinite, left out, or refused, and spoils no other row") {
  const Labels targets{{1, 1, 1}, {2}, {1, 2}, {2}};  // row 0 takes five steps, and has four
  const std::vector<Index> lengths{4, 3, 4, 1};
  Rng rng(7);
  Array x = make_tensor<double>({frames, batch, classes});
  for (double& v : x) v = rng.normal();
  Tape<double> tape;
  const Var<double> v = tape.variable(x);
  const auto gradient_of = [&](const Labels& of, Infeasible infeasible) {
    const Var<double> loss = ctc_loss(v, of, lengths, {.infeasible = infeasible});
    return std::pair{loss.item(), tape.gradient(loss, Array(1.0), v)};
  };
  const auto [infinite, to_infinite] = gradient_of(targets, Infeasible::infinite);
  const auto [left_out, to_left_out] = gradient_of(targets, Infeasible::zero);
  CHECK(infinite == INFINITY);
  double others = 0;
  for (Index b = 1; b < batch; ++b) {
    const auto& target = targets[static_cast<std::size_t>(b)];
    others += loss_of_row(x, b, lengths[static_cast<std::size_t>(b)], target, 0) /
              (batch * static_cast<double>(target.size()));
  }
  CHECK(left_out == doctest::Approx(others).epsilon(1e-12));
  CHECK(to_infinite == to_left_out);
  for (Index t = 0; t < frames; ++t)
    for (Index c = 0; c < classes; ++c) CHECK(to_left_out(t, 0, c) == 0);
  CHECK(std::abs(to_left_out(0, 1, 0)) > 1e-3);
  CHECK_THROWS_WITH_AS(ctc_loss(v, targets, lengths, {.infeasible = Infeasible::refuse}),
                       "ctc_loss: the target of row 0 takes 5 steps at least, its sequence has 4", ValueError);
}

TEST_CASE_TEMPLATE("ctc: large logits and long sequences stay finite", T, float, double) {
  Tape<T> tape;
  Tensor<T> x = make_tensor<T>({1500, 1, classes}, T(0));
  for (Index t = 0; t < 1500; ++t) x(t, 0, t % 3) = T(1e4);
  const Var<T> v = tape.variable(x);
  std::vector<std::int32_t> target;
  for (int i = 0; i < 200; ++i) target.push_back(1 + i % 2);
  const Var<T> loss = ctc_loss(v, {target});
  CHECK(std::isfinite(loss.item()));
  tape.backward(loss);
  for (const T g : v.grad()) CHECK(std::isfinite(g));
}

TEST_CASE("ctc: a batch is its rows one by one, bit for bit") {
  Rng rng(9);
  Array x = make_tensor<double>({frames, batch, classes});
  for (double& v : x) v = rng.normal();
  const Labels targets{{1, 2, 1}, {2}, {1, 1}, {}};
  const CtcOptions sum{.reduction = Reduction::sum};
  Tape<double> tape;
  const Var<double> v = tape.variable(x);
  const Array all = tape.gradient(ctc_loss(v, targets, ragged, sum), Array(1.0), v);
  for (Index b = 0; b < batch; ++b) {
    const auto at = static_cast<std::size_t>(b);
    const Index steps = ragged[at];
    Array row = make_tensor<double>({steps, 1, classes});
    for (Index t = 0; t < steps; ++t)
      for (Index c = 0; c < classes; ++c) row(t, 0, c) = x(t, b, c);
    const Var<double> alone = tape.variable(row);
    const Array g = tape.gradient(ctc_loss(alone, {targets[at]}, {}, sum), Array(1.0), alone);
    for (Index t = 0; t < steps; ++t)
      for (Index c = 0; c < classes; ++c) CHECK(g(t, 0, c) == all(t, b, c));
  }
}

TEST_CASE("ctc: errors are sentences") {
  Tape<float> tape;
  const Var<float> x = tape.zeros({5, 2, 3});
  const std::vector<Index> three{1, 2, 3}, too_long{5, 6};
  CHECK_THROWS_WITH_AS(ctc_loss(tape.zeros({5, 3}), {{1}}),
                       "ctc_loss: logits [time, batch, classes] are needed, not [5, 3]", ShapeError);
  CHECK_THROWS_WITH_AS(ctc_loss(tape.zeros({5, 0, 3}), {}), "ctc_loss: there is no row in logits [5, 0, 3]",
                       ValueError);
  CHECK_THROWS_WITH_AS(ctc_loss(x, {{1}}), "ctc_loss: 1 targets for logits [5, 2, 3]", ShapeError);
  CHECK_THROWS_WITH_AS(ctc_loss(x, {{1}, {2}}, three), "ctc_loss: 3 lengths for logits [5, 2, 3]", ShapeError);
  CHECK_THROWS_WITH_AS(ctc_loss(x, {{1}, {2}}, too_long), "ctc_loss: length 6 of row 1 in logits [5, 2, 3]",
                       ShapeError);
  CHECK_THROWS_WITH_AS(ctc_loss(x, {{1}, {1, 3}}),
                       "ctc_loss: label 1 of row 1 is 3; labels are 0 .. 2 without the blank 0", IndexError);
  CHECK_THROWS_AS(ctc_loss(x, {{1}, {0}}), IndexError);
  CHECK_THROWS_WITH_AS(ctc_loss(x, {{1}, {1}}, {}, {.blank = 3}), "ctc_loss: the blank 3 is outside 0 .. 2",
                       IndexError);
}
