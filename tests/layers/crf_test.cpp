#include <layers/paths_of_a_chain.h>
#include <unroll/autograd/check/gradients.h>

using namespace unroll;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
const std::vector<std::string> names{"O", "B-x", "I-x", "B-y", "I-y"};
const std::vector<Index> ragged{4, 0, 5, 1};
constexpr Index time_steps = 5, batch = 4;

/// The same scores in either scalar, far from their initial values.
template <Real T>
LinearChainCrf<T> field(Index labels, LabelConstraint constraint = {}, double deviation = 1) {
  Rng rng{7};
  LinearChainCrf<T> crf(labels, rng, std::move(constraint));
  for (Parameter<T>* p : parameters<T>(crf))
    for (T& v : p->edit()) v = static_cast<T>(static_cast<float>(deviation * rng.normal()));
  return crf;
}

Tensor<double> emissions(Index time, Index rows, Index labels, std::span<const Index> lengths,
                         double padding = not_a_number, double deviation = 1) {
  Rng rng{8};
  Tensor<double> x = make_tensor<double>({time, rows, labels});
  for (Index t = 0; t < time; ++t)
    for (Index b = 0; b < rows; ++b)
      for (Index k = 0; k < labels; ++k) {
        const double v = static_cast<float>(deviation * rng.normal());
        x(t, b, k) = lengths.empty() || t < lengths[static_cast<std::size_t>(b)] ? v : padding;
      }
  return x;
}

/// Allowed paths: O B-x I-x ... in BIO; what lies in the padding is no label at all.
std::vector<std::int32_t> gold(Index time, std::span<const Index> lengths) {
  const std::array<std::int32_t, 5> pattern{1, 2, 0, 3, 4};
  std::vector<std::int32_t> labels;
  for (Index t = 0; t < time; ++t)
    for (const Index n : lengths) labels.push_back(t < n ? pattern[static_cast<std::size_t>(t) % 5] : -99);
  return labels;
}

struct Case {
  const char* name;
  LabelConstraint constraint;
};
std::vector<Case> cases() {
  LabelConstraint mask = LabelConstraint::all(5);
  mask.forbid(0, 0), mask.forbid(3, 1);
  mask.start[4] = 0, mask.end[3] = 0;
  return {{"no constraint", {}}, {"BIO", bio_constraint(names)}, {"a mask", mask}};
}

double worst_of(const Tensor<double>& got, const Tensor<double>& want) {
  double worst = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double d = std::abs(got.data()[i] - want.data()[i]);
    worst = std::isnan(d) ? INFINITY : std::max(worst, d);
  }
  return worst;
}

}  // namespace

TEST_CASE("crf: all paths one by one give the same sums, marginals, entropy, best path and k best paths") {
  for (const Case& c : cases()) {
    CAPTURE(c.name);
    const auto crf = field<double>(5, c.constraint);
    const auto x = emissions(time_steps, batch, 5, ragged);
    Tape<double> tape;
    const auto v = tape.variable(x);
    const auto z = crf.log_partition(v, ragged), h = crf.entropy(v, ragged);
    const Tensor<double> mu = crf.marginals(x, ragged);
    CHECK(distance(crf.marginals(v, ragged).value(), mu) == 0);
    const auto best = crf.viterbi(x, ragged);
    const auto several = crf.k_best(v, 40, ragged);
    for (Index b = 0; b < batch; ++b) {
      CAPTURE(b);
      const Index n = ragged[static_cast<std::size_t>(b)];
      const EnumeratedPaths all(crf, x, b, n);
      CHECK(std::abs(z.value()(b) - all.log_z) < 1e-12);
      CHECK(std::abs(h.value()(b) - all.entropy()) < 1e-12);
      for (Index t = 0; t < time_steps; ++t)
        for (Index k = 0; k < 5; ++k) CHECK(std::abs(mu(t, b, k) - (t < n ? all.marginal(t, k) : 0)) < 1e-12);
      const auto row = static_cast<std::size_t>(b);
      CHECK(best[row].labels == all.paths[0].labels);
      CHECK(std::abs(best[row].score - all.paths[0].score) < 1e-12);
      REQUIRE(several[row].size() == std::min(all.paths.size(), std::size_t{40}));
      for (std::size_t i = 0; i < several[row].size(); ++i) {
        CHECK(several[row][i].labels == all.paths[i].labels);
        CHECK(std::abs(several[row][i].score - all.paths[i].score) < 1e-12);
      }
    }
  }
}

TEST_CASE("crf: the gradient of the loss is expected less observed counts") {
  const auto labels = gold(time_steps, ragged);
  for (const Case& c : {cases()[0], cases()[1]}) {
    CAPTURE(c.name);
    const auto crf = field<double>(5, c.constraint);
    const auto x = emissions(time_steps, batch, 5, ragged);
    Tape<double> tape;
    const auto v = tape.variable(x);
    const auto loss = crf.loss(v, labels, ragged, CrfReduction::sum);
    tape.backward(loss);
    Tensor<double> dx = make_tensor<double>({time_steps, batch, 5}, 0.0), da = make_tensor<double>({5, 5}, 0.0),
                   ds = make_tensor<double>({5}, 0.0), de = ds;
    double want = 0;
    const auto count = [&](const std::vector<std::int32_t>& path, Index b, double weight) {
      for (std::size_t t = 0; t < path.size(); ++t) {
        dx(t, b, path[t]) += weight;
        if (t > 0) da(path[t - 1], path[t]) += weight;
      }
      if (!path.empty()) ds(path.front()) += weight, de(path.back()) += weight;
    };
    for (Index b = 0; b < batch; ++b) {
      const EnumeratedPaths all(crf, x, b, ragged[static_cast<std::size_t>(b)]);
      std::vector<std::int32_t> path;
      for (Index t = 0; t < ragged[static_cast<std::size_t>(b)]; ++t)
        path.push_back(labels[static_cast<std::size_t>(t * batch + b)]);
      for (const LabelPath& p : all.paths) {
        count(p.labels, b, all.probability(p));
        if (p.labels == path) want += all.log_z - p.score;
      }
      count(path, b, -1);
    }
    CHECK(std::abs(loss.item() - want) < 1e-12);
    CHECK(worst_of(v.grad(), dx) < 1e-12);
    CHECK(worst_of(crf.transitions.grad(), da) < 1e-12);
    CHECK(worst_of(crf.start.grad(), ds) < 1e-12);
    CHECK(worst_of(crf.end.grad(), de) < 1e-12);
    if (!c.constraint.empty()) {
      CHECK(crf.transitions.grad()(0, 2) == 0);  // O I-x is forbidden
      CHECK(crf.start.grad()(4) == 0);
    }
  }
}

TEST_CASE("crf: gradients agree with finite differences, ragged, with constraints and NaN in the padding") {
  const auto labels = gold(time_steps, ragged);
  for (const Case& c : {cases()[0], cases()[1]}) {
    CAPTURE(c.name);
    auto crf = field<double>(5, c.constraint);
    Parameter<double> x(emissions(time_steps, batch, 5, ragged, 0.25));
    auto listed = parameters<double>(crf);
    listed.push_back(&x);
    const auto padded = [&](Tape<double>& tape) -> Var<double> {
      const Var<double> mask = reshape(length_mask(tape, ragged, time_steps), {time_steps, batch, 1});
      return where(mask, tape.use(x), not_a_number);
    };
    const std::vector<std::function<Var<double>(Tape<double>&)>> programs{
        [&](auto& tape) { return crf.loss(padded(tape), labels, ragged); },
        [&](auto& tape) { return crf.loss(padded(tape), labels, ragged, CrfReduction::mean_per_step); },
        [&](auto& tape) { return sum(square(crf.log_likelihood(padded(tape), labels, ragged))); },
        [&](auto& tape) { return sum(square(crf.score(padded(tape), labels, ragged))); },
        [&](auto& tape) { return sum(square(crf.log_partition(padded(tape), ragged))); },
        [&](auto& tape) { return sum(square(crf.entropy(padded(tape), ragged))); },
        [&](auto& tape) { return sum(square(crf.marginals(padded(tape), ragged))); }};
    for (std::size_t i = 0; i < programs.size(); ++i) {
      CAPTURE(i);
      const auto report = check_gradients(programs[i], listed);
      INFO(report.text());
      CHECK(report);
    }
  }
}

TEST_CASE("crf: the reductions are the mean over rows, over steps, and the sum") {
  const auto crf = field<double>(5);
  const auto labels = gold(time_steps, ragged);
  Tape<double> tape;
  const auto x = tape.constant(emissions(time_steps, batch, 5, ragged));
  const auto each = crf.log_likelihood(x, labels, ragged);
  CHECK(each.value()(1) == 0);  // no step
  const double total = -xt::sum(each.value())();
  CHECK(crf.loss(x, labels, ragged, CrfReduction::sum).item() == doctest::Approx(total));
  CHECK(crf.loss(x, labels, ragged).item() == doctest::Approx(total / 4));
  CHECK(crf.loss(x, labels, ragged, CrfReduction::mean_per_step).item() == doctest::Approx(total / 10));
  const auto z = crf.log_partition(x, ragged), s = crf.score(x, labels, ragged);
  for (Index b = 0; b < batch; ++b) CHECK(z.value()(b) - s.value()(b) == doctest::Approx(-each.value()(b)));
}

TEST_CASE("crf: a batch gives what its rows give alone, and what lies in the padding changes nothing") {
  const auto check = [&]<Real T>(T, double tolerance) {
    const auto crf = field<T>(5, bio_constraint(names));
    const auto labels = gold(time_steps, ragged);
    const auto run = [&](const Tensor<double>& x, std::span<const std::int32_t> path, std::span<const Index> lengths) {
      Tape<T> tape;
      const auto v = tape.variable(Tensor<T>(xt::cast<T>(x)));
      const auto p = crf.log_likelihood(v, path, lengths), h = crf.entropy(v, lengths);
      tape.backward(sum(p) + sum(h));
      return std::array<Tensor<double>, 3>{Tensor<double>(xt::cast<double>(p.value())),
                                           Tensor<double>(xt::cast<double>(h.value())),
                                           Tensor<double>(xt::cast<double>(v.grad()))};
    };
    const auto x = emissions(time_steps, batch, 5, ragged), other = emissions(time_steps, batch, 5, ragged, 1e30);
    const auto all = run(x, labels, ragged), again = run(other, labels, ragged);
    for (std::size_t i = 0; i < 3; ++i) CHECK(distance(again[i], all[i]) == 0);
    for (Index b = 0; b < batch; ++b) {
      CAPTURE(b);
      const Index n = ragged[static_cast<std::size_t>(b)];
      if (n == 0) {
        CHECK(all[0](b) == 0);
        CHECK(all[1](b) == 0);
        continue;
      }
      Tensor<double> row = make_tensor<double>({n, 1, 5});
      std::vector<std::int32_t> path;
      for (Index t = 0; t < n; ++t) {
        path.push_back(labels[static_cast<std::size_t>(t * batch + b)]);
        for (Index k = 0; k < 5; ++k) row(t, 0, k) = x(t, b, k);
      }
      const auto alone = run(row, path, {});
      CHECK(std::abs(alone[0](0) - all[0](b)) <= tolerance);
      CHECK(std::abs(alone[1](0) - all[1](b)) <= tolerance);
      for (Index t = 0; t < time_steps; ++t)
        for (Index k = 0; k < 5; ++k) CHECK(std::abs(all[2](t, b, k) - (t < n ? alone[2](t, 0, k) : 0)) <= tolerance);
    }
  };
  check(1.0, 1e-13);
  check(1.0F, 1e-6);
}

TEST_CASE("crf: rows of no step alone have the sum 0 and no gradient") {
  const auto crf = field<double>(5);
  const std::vector<Index> none{0, 0};
  const std::vector<std::int32_t> labels(6, -1);
  Tape<double> tape;
  const auto x = tape.variable(make_tensor<double>({3, 2, 5}, not_a_number));
  const auto loss = crf.loss(x, labels, none);
  CHECK(loss.item() == 0);
  for (const auto& y : {crf.log_partition(x, none), crf.entropy(x, none)}) {
    CHECK(y.shape() == Shape{2});
    CHECK(y.value() == Tensor<double>{0, 0});
  }
  tape.backward(loss);
  for (const double g : x.grad()) CHECK(g == 0);
  CHECK(crf.viterbi(x, none)[1].labels.empty());
  CHECK(crf.k_best(x, 3, none)[0].size() == 1);
  CHECK_THROWS_WITH_AS(crf.loss(x, labels, none, CrfReduction::mean_per_step),
                       "crf: there is nothing to average over in emissions [3, 2, 5]", ValueError);
}

TEST_CASE("crf: what is wrong is said in a sentence") {
  auto crf = field<double>(5, bio_constraint(names));
  parameters<double>(crf);
  Tape<double> tape;
  const auto x = tape.zeros({3, 2, 5});
  const std::vector<Index> lengths{3, 2};
  const auto loss = [&](std::vector<std::int32_t> labels) { crf.loss(x, labels, lengths); };
  CHECK_NOTHROW(loss({0, 1, 1, 2, 2, -1}));
  CHECK_THROWS_WITH_AS(loss({0, 1, 1, 5, 2, -1}), "crf: label 5 of row 1 at step 1 is outside 0 .. 4", IndexError);
  CHECK_THROWS_WITH_AS(loss({0, 1, 1, -1, 2, -1}), "crf: label -1 of row 1 at step 1 is outside 0 .. 4", IndexError);
  CHECK_THROWS_WITH_AS(loss({0, 1, 2, 2, 2, -1}), "crf: row 0 goes from label 0 to 2 at step 1, which is forbidden",
                       ValueError);
  CHECK_THROWS_WITH_AS(loss({0, 4, 0, 4, 0, -1}), "crf: row 1 starts with label 4 at step 0, which is forbidden",
                       ValueError);
  CHECK_THROWS_WITH_AS(loss({0, 1}), "crf: 2 labels for emissions [3, 2, 5]", ShapeError);
  CHECK_THROWS_WITH_AS(crf.log_partition(tape.zeros({3, 2, 4})),
                       "crf: emissions [time, batch, 5] are needed, not [3, 2, 4]", ShapeError);
  CHECK_THROWS_WITH_AS(crf.entropy(x, std::vector<Index>{3}), "crf: 1 lengths for emissions [3, 2, 5]", ShapeError);
  CHECK_THROWS_WITH_AS(crf.viterbi(x, std::vector<Index>{3, 4}), "crf: length 4 of row 1 in emissions [3, 2, 5]",
                       ShapeError);
  CHECK_THROWS_WITH_AS(crf.k_best(x, 0), "crf: the 0 best paths were asked for", ValueError);

  const auto closed = field<double>(3, bioes_constraint({"B-x", "I-x", "E-x"}));
  const auto y = tape.zeros({3, 2, 3});
  const std::vector<Index> one{3, 1};
  const char* const no_path = "crf: the constraint leaves row 1 no path of 1 steps";
  CHECK_THROWS_WITH_AS(closed.log_partition(y, one), no_path, ValueError);
  CHECK_THROWS_WITH_AS(closed.marginals(y, one), no_path, ValueError);
  CHECK_THROWS_WITH_AS(closed.entropy(y, one), no_path, ValueError);
  CHECK_THROWS_WITH_AS(closed.viterbi(y, one), no_path, ValueError);
  CHECK_THROWS_WITH_AS(closed.k_best(y, 2, one), no_path, ValueError);
  CHECK_THROWS_WITH_AS(closed.loss(y, std::vector<std::int32_t>{0, 0, 1, 2, 1, 2}, one),
                       "crf: row 0 ends with label 1 at step 2, which is forbidden", ValueError);
  CHECK_THROWS_WITH_AS(crf.viterbi(tape.filled({1, 1, 5}, -INFINITY)),
                       "crf: no path of 1 steps through row 0 has a finite score", ValueError);
  Rng rng{1};
  CHECK_THROWS_WITH_AS(LinearChainCrf<double>(3, rng, bio_constraint(names)), "crf: a constraint of 5 labels for 3",
                       ShapeError);
}

TEST_CASE("crf: parameters are named, saved and counted as those of any layer") {
  auto crf = field<float>(4);
  CHECK(count_parameters(crf) == 24);
  CHECK(parameters(crf)[0]->path() == "transitions");
}
