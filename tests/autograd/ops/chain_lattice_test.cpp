#include <autograd/ops/reference.h>

using namespace unroll;
using namespace unroll::testing;

// Long chains, scores of any size and what is forbidden: against the same sums by loops over logarithms.

namespace {

using Real80 = long double;

/// Two rows, the second half as long, as arrays in double.
struct Chain {
  Index time, labels;
  Array x, a, s, e;  // emissions [rows, labels], transitions, start, end
  std::vector<Index> alive, offsets;

  Chain(Index time, Index labels) : time(time), labels(labels) {
    for (Index t = 0, at = 0; t < time; at += alive.back(), ++t) {
      offsets.push_back(at);
      alive.push_back(t < (time + 1) / 2 ? 2 : 1);
    }
    x = make_tensor<double>({offsets.back() + alive.back(), labels}, 0.0);
    a = make_tensor<double>({labels, labels}, 0.0);
    s = e = make_tensor<double>({labels}, 0.0);
  }
  /// Normal scores, the same numbers in both precisions, of which a share is forbidden. From the first label each may
  /// follow, and it each.
  Chain& draw(double deviation, double forbidden) {
    Rng rng(5);
    for (Array* v : {&x, &a, &s, &e})
      for (double& score : *v) score = static_cast<float>(deviation * rng.normal());
    for (Index j = 1; j < labels; ++j) {
      for (Index k = 1; k < labels; ++k)
        if (rng.uniform() < forbidden) a(j, k) = -INFINITY;
      if (rng.uniform() < forbidden) s(j) = -INFINITY;
      if (rng.uniform() < forbidden) e(j) = -INFINITY;
    }
    return *this;
  }
  ScanSteps steps() const { return {alive, offsets}; }
  Index length(Index row) const { return row == 0 ? time : (time + 1) / 2; }
  const double* emission(Index t, Index row) const {
    return x.data() + (offsets[static_cast<std::size_t>(t)] + row) * labels;
  }
};

template <class F>
Real80 log_sum(Index n, F term) {
  Real80 largest = -INFINITY, sum = 0;
  for (Index i = 0; i < n; ++i) largest = std::max(largest, Real80(term(i)));
  if (std::isinf(largest)) return largest;
  for (Index i = 0; i < n; ++i) sum += std::exp(Real80(term(i)) - largest);
  return largest + std::log(sum);
}

struct Sums {
  Array log_z, entropy, mu, dx, da, ds, de;  // the last four are the gradients of the sum of log_z times `seeds`
};
const std::array<double, 2> seeds{1, -2.5};

Sums by_loops(const Chain& c) {
  const Index k = c.labels;
  Sums out{make_tensor<double>({2}, 0.0),
           make_tensor<double>({2}, 0.0),
           make_tensor<double>(shape_of(c.x), 0.0),
           make_tensor<double>(shape_of(c.x), 0.0),
           make_tensor<double>({k, k}, 0.0),
           make_tensor<double>({k}, 0.0),
           make_tensor<double>({k}, 0.0)};
  for (Index row = 0; row < 2; ++row) {
    const Index n = c.length(row);
    const double seed = seeds[static_cast<std::size_t>(row)];
    std::vector<std::vector<Real80>> alpha(static_cast<std::size_t>(n),
                                           std::vector<Real80>(static_cast<std::size_t>(k))),
        beta = alpha;
    const auto at = [](auto& v, Index t, Index i) -> Real80& {
      return v[static_cast<std::size_t>(t)][static_cast<std::size_t>(i)];
    };
    for (Index t = 0; t < n; ++t)
      for (Index i = 0; i < k; ++i)
        at(alpha, t, i) = c.emission(t, row)[i] +
                          (t == 0 ? c.s(i) : log_sum(k, [&](Index j) { return at(alpha, t - 1, j) + c.a(j, i); }));
    for (Index t = n; t-- > 0;)
      for (Index i = 0; i < k; ++i)
        at(beta, t, i) = t == n - 1 ? c.e(i) : log_sum(k, [&](Index j) {
          return c.a(i, j) + c.emission(t + 1, row)[j] + at(beta, t + 1, j);
        });
    const Real80 z = log_sum(k, [&](Index i) { return at(alpha, n - 1, i) + c.e(i); });
    out.log_z(row) = static_cast<double>(z);
    Real80 h = 0;  // that of the first label, and of each given the one before
    for (Index t = 0; t < n; ++t)
      for (Index i = 0; i < k; ++i) {
        const Real80 log_mu = at(alpha, t, i) + at(beta, t, i) - z, mu = std::exp(log_mu);
        out.mu(c.offsets[static_cast<std::size_t>(t)] + row, i) = static_cast<double>(mu);
        out.dx(c.offsets[static_cast<std::size_t>(t)] + row, i) = seed * static_cast<double>(mu);
        if (t == 0) out.ds(i) += seed * static_cast<double>(mu);
        if (t == n - 1) out.de(i) += seed * static_cast<double>(mu);
        if (t == 0 && mu > 0) h -= mu * log_mu;
        for (Index j = 0; t > 0 && j < k; ++j) {
          const Real80 log_q = c.a(j, i) + c.emission(t, row)[i] + at(beta, t, i) - at(beta, t - 1, j);
          const Real80 p = std::exp(at(alpha, t - 1, j) + at(beta, t - 1, j) - z + log_q);
          if (p > 0) h -= p * log_q, out.da(j, i) += seed * static_cast<double>(p);
        }
      }
    out.entropy(row) = static_cast<double>(h);
  }
  return out;
}

template <Real T>
Sums by_ops(const Chain& c) {
  Tape<T> tape;
  const auto x = tape.variable(as<T>(c.x)), a = tape.variable(as<T>(c.a)), s = tape.variable(as<T>(c.s)),
             e = tape.variable(as<T>(c.e));
  const auto z = chain_log_partition(x, a, s, e, c.steps()), h = chain_entropy(x, a, s, e, c.steps());
  const auto mu = chain_marginals(x, a, s, e, c.steps());
  tape.backward(z, Tensor<T>{T(seeds[0]), T(seeds[1])});
  const auto taken = [](const auto& v) { return Array(xt::cast<double>(v)); };
  Sums out{value_of(z), value_of(h), value_of(mu), taken(x.grad()), taken(a.grad()), taken(s.grad()), taken(e.grad())};
  tape.backward(sum(h) + sum(square(mu)));
  for (const auto& v : {x, a, s, e})
    for (const T g : v.grad()) CHECK(std::isfinite(g));
  return out;
}

/// What rounding of scores of the size given does to probabilities, at each of `count` steps that are added.
void expect_close(const Sums& got, const Sums& want, double u, double size) {
  const double one = 64 * u * (1 + size), steps = static_cast<double>(shape_of(want.dx)[0]);
  CHECK(excess(got.mu, want.mu, {0, one}, 1) == 0);
  CHECK(excess(got.dx, want.dx, {0, one}, 1) == 0);
  CHECK(excess(got.ds, want.ds, {0, one}, 1) == 0);
  CHECK(excess(got.de, want.de, {0, one}, 1) == 0);
  CHECK(excess(got.da, want.da, {0, one * steps}, 1) == 0);
  CHECK(excess(got.log_z, want.log_z, {u, one * steps}, 1) == 0);
  CHECK(excess(got.entropy, want.entropy, {0, one * steps}, 1) == 0);
}

}  // namespace

TEST_CASE("chain_lattice: long chains, large scores and forbidden transitions, as by loops over logarithms") {
  for (const Index labels : {1, 3, 9, 17, 40})
    for (const double size : {0.1, 1.0, 30.0, 1e3, 1e4})
      for (const double forbidden : {0.0, 0.7}) {
        CAPTURE(labels);
        CAPTURE(size);
        CAPTURE(forbidden);
        const Chain c = Chain(labels == 9 ? 1000 : 60, labels).draw(size, forbidden);
        const Sums want = by_loops(c);
        expect_close(by_ops<double>(c), want, u_double, size);
        expect_close(by_ops<float>(c), want, u_float, size);
      }
}

TEST_CASE("chain_lattice: the gradient of the entropy of a long row is as good in float") {
  const Chain c = Chain(1000, 9).draw(1, 0.5);
  const auto run = [&]<Real T>(T) {
    Tape<T> tape;
    const auto x = tape.variable(as<T>(c.x));
    const auto s = tape.constant(as<T>(c.s)), e = tape.constant(as<T>(c.e));
    tape.backward(sum(chain_entropy(x, tape.constant(as<T>(c.a)), s, e, c.steps())));
    return Array(xt::cast<double>(x.grad()));
  };
  CHECK(excess(run(1.0F), run(1.0), {0, 256}, u_float) == 0);
}

TEST_CASE("chain_lattice: the only path leads through labels that look impossible") {
  // Label 0 is the best by far wherever it is, but at step 2 nothing follows it.
  for (const double far : {90.0, 800.0, 1e4}) {
    CAPTURE(far);
    Chain c(6, 3);
    for (Index r = 0; r < shape_of(c.x)[0]; ++r) c.x(r, 0) = far;
    c.a(0, 1) = c.a(0, 2) = -INFINITY;
    for (Index row = 0; row < 2; ++row) c.x.data()[(c.offsets[2] + row) * 3] = -INFINITY;
    const Sums want = by_loops(c);
    expect_close(by_ops<double>(c), want, u_double, far);
    expect_close(by_ops<float>(c), want, u_float, far);
    CHECK(want.dx.data()[c.offsets[1] * 3] == 0);
    CHECK(by_ops<float>(c).dx.data()[c.offsets[1] * 3 + 1] == doctest::Approx(0.5));
  }
}

TEST_CASE("chain_lattice: both ends pull where the transition hardly goes") {
  // Step 0 wants label 0 and step 1 label 1; all ways from the one to the other cost.
  for (const double far : {60.0, 200.0, 2e3}) {
    CAPTURE(far);
    Chain c(2, 3);
    c.x(0, 0) = c.x(1, 0) = far * 4;
    c.x(2, 1) = far * 4;
    c.a(0, 1) = -far, c.a(0, 2) = -far / 2, c.a(2, 1) = -far / 2;
    c.a(0, 0) = far / 8;
    const Sums want = by_loops(c);
    expect_close(by_ops<double>(c), want, u_double, far);
    expect_close(by_ops<float>(c), want, u_float, far);
  }
}
