#include <unroll/autograd/ops/chain_lattice.h>
#include <unroll/autograd/tensor/exponential.h>

// Given all emissions, the labels are a Markov chain: P(k after j) = exp(transition + emission + beta(k) - beta(j)).
// What a path costs before and after a label is expected along it, each a mean of means, so that nothing cancels.

namespace unroll::inline UNROLL_ISA::detail {
namespace {

/// The chain's transition probabilities of one row and step, label by label.
template <Real T>
struct ChainStep {
  const ChainScores<T>& scores;
  const T* beta;
  const ChainCost<T>& cost;
  Index labels, stride;
  T *transitions, *after, *values;

  static Index bytes(const ChainScores<T>& s) {
    return Pieces::bytes<T>(s.labels() * s.stride()) + 2 * Pieces::bytes<T>(s.stride());
  }
  ChainStep(const ChainScores<T>& s, const T* beta, const ChainCost<T>& cost, Pieces& memory)
      : scores(s),
        beta(beta),
        cost(cost),
        labels(s.labels()),
        stride(s.stride()),
        transitions(memory.take<T>(labels * stride)),
        after(memory.take<T>(stride)),
        values(memory.take<T>(stride)) {
    for (Index j = 0; j < labels; ++j) pad_row(s.transitions.row(j), labels, transitions + j * stride, stride, T(0));
  }
  /// Costs of the labels of row r themselves.
  void load_values(Index r) {
    if (cost.surprise())
      std::fill_n(values, stride, T(0));
    else
      pad_row(cost.values.row(r), labels, values, stride, T(0));
  }
  void load(Index r) {
    load_values(r);
    pad_row(scores.emissions.row(r), labels, after, stride, -std::numeric_limits<T>::infinity());
    for (Index c = 0; c < stride; ++c) after[c] += beta[r * stride + c];
    const T shift = shift_of(after, stride);
    for (Index c = 0; c < stride; ++c) after[c] -= shift;
  }
  /// f(column, probabilities, costs of the transitions) for the label j of row p, register by register.
  template <class F>
  void from(Index p, Index j, F f) const {
    const T b = beta[p * stride + j];
    if (b == -std::numeric_limits<T>::infinity()) return;  // no path goes on from here
    for (Index c = 0; c < stride; c += lanes<T>) {
      const Batch<T> log_q =
          Batch<T>::load_unaligned(transitions + j * stride + c) + Batch<T>::load_unaligned(after + c) - Batch<T>(b);
      const Batch<T> q = math::exp(log_q), zero(T(0));
      f(c, q, cost.surprise() ? xsimd::select(q > zero, -log_q, zero) : zero);
    }
  }
};

template <Real T>
Batch<T> load(const T* x) {
  return Batch<T>::load_unaligned(x);
}

}  // namespace

template <Real T>
Index chain_covariance_bytes(const ChainScores<T>& s) {
  return ChainStep<T>::bytes(s) + Pieces::bytes<T>(s.rows() * s.stride()) + 2 * Pieces::bytes<T>(s.stride()) +
         Pieces::bytes<T>(s.batch());
}

template <Real T>
void chain_future(const ChainScores<T>& s, const T* beta, const ChainCost<T>& cost, T* future, Pieces memory) {
  ChainStep<T> step(s, beta, cost, memory);
  const Index stride = s.stride();
  std::fill_n(future, s.rows() * stride, T(0));
  for (Index t = s.steps.count(); t-- > 1;)
    for (Index i = 0; i < s.alive(t); ++i) {
      const Index p = s.at(t - 1, i), r = s.at(t, i);
      step.load(r);
      for (Index j = 0; j < s.labels(); ++j) {
        Batch<T> sum(T(0));
        step.from(p, j, [&](Index c, Batch<T> q, Batch<T> v) {
          sum += q * (v + load(step.values + c) + load(future + r * stride + c));
        });
        future[p * stride + j] = simd::total(sum);
      }
    }
}

namespace {

template <Real T>
struct CovariancePass {
  const ChainScores<T>& scores;
  const ChainExpectations<T>& of;
  const ChainCost<T>& cost;
  const T *future, *seeds;
  const ChainCovariance<T>& to;
  ChainStep<T> step;
  Index stride;
  T *past, *sum, *mass, *means;

  CovariancePass(const ChainScores<T>& s, const ChainExpectations<T>& of, const ChainCost<T>& cost, const T* future,
                 const T* seeds, const ChainCovariance<T>& to, Pieces memory)
      : scores(s),
        of(of),
        cost(cost),
        future(future),
        seeds(seeds),
        to(to),
        step(s, of.beta, cost, memory),
        stride(s.stride()),
        past(memory.take<T>(s.rows() * stride)),
        sum(memory.take<T>(stride)),
        mass(memory.take<T>(stride)),
        means(memory.take<T>(s.batch())) {}

  void run() {
    if (to.counts != nullptr) std::fill_n(to.counts, scores.labels() * stride, T(0));
    for (Index i = 0; i < scores.batch(); ++i) begin(scores.at(0, i), i);
    for (Index t = 1; t < scores.steps.count(); ++t)
      for (Index i = 0; i < scores.alive(t); ++i) pair(scores.at(t - 1, i), scores.at(t, i), i);
  }
  void begin(Index r, Index i) {
    const T *const mu = of.marginals + r * stride, *const f = future + r * stride;
    T* const l = past + r * stride;
    step.load_values(r);
    means[i] = 0;
    for (Index c = 0; c < stride; ++c) {
      l[c] = step.values[c] - (cost.surprise() && mu[c] > 0 ? std::log(mu[c]) : T(0));
      means[i] += mu[c] * (l[c] + f[c]);
    }
    deliver(r, i);
  }
  void deliver(Index r, Index i) {
    for (Index c = 0; c < stride; ++c)
      to.labels[r * stride + c] =
          of.marginals[r * stride + c] * (past[r * stride + c] + future[r * stride + c] - means[i]);
  }
  void pair(Index p, Index r, Index i) {
    step.load(r);
    std::fill_n(sum, stride, T(0));
    std::fill_n(mass, stride, T(0));
    const T seed = seeds == nullptr ? T(1) : seeds[i];
    for (Index j = 0; j < scores.labels(); ++j) {
      const Batch<T> mu(of.marginals[p * stride + j]), before(past[p * stride + j]);
      step.from(p, j, [&](Index c, Batch<T> q, Batch<T> v) {
        const Batch<T> joint = mu * q, spent = before + v;
        xsimd::fma(joint, spent, load(sum + c)).store_unaligned(sum + c);
        (load(mass + c) + joint).store_unaligned(mass + c);
        if (to.counts == nullptr) return;
        T* const count = to.counts + j * stride + c;
        const Batch<T> rest = load(step.values + c) + load(future + r * stride + c) - Batch<T>(means[i]);
        xsimd::fma(Batch<T>(seed) * joint, spent + rest, load(count)).store_unaligned(count);
      });
    }
    for (Index c = 0; c < stride; ++c) past[r * stride + c] = step.values[c] + (mass[c] == 0 ? T(0) : sum[c] / mass[c]);
    deliver(r, i);
  }
};

}  // namespace

template <Real T>
void chain_covariance(const ChainScores<T>& scores, const ChainExpectations<T>& of, const ChainCost<T>& cost,
                      const T* future, const T* seeds, const ChainCovariance<T>& to, Pieces memory) {
  CovariancePass<T>(scores, of, cost, future, seeds, to, memory).run();
}

#define UNROLL_INSTANTIATE(T)                                                                                       \
  template Index chain_covariance_bytes(const ChainScores<T>&);                                                     \
  template void chain_future(const ChainScores<T>&, const T*, const ChainCost<T>&, T*, Pieces);                     \
  template void chain_covariance(const ChainScores<T>&, const ChainExpectations<T>&, const ChainCost<T>&, const T*, \
                                 const T*, const ChainCovariance<T>&, Pieces);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)

}  // namespace unroll::inline UNROLL_ISA::detail
