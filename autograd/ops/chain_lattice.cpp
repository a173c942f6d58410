#include <unroll/autograd/ops/chain_lattice.h>

#include <unroll/autograd/tensor/exponential.h>
#include <unroll/autograd/tensor/gemm.h>

// A step is a product in the semiring of logarithms, made an ordinary one: of exp(alpha less its largest element) with
// exp(transitions less the largest of each column). A sum that came out below `tiny` may have lost terms to underflow;
// it is computed again from the logarithms.

namespace unroll::inline UNROLL_ISA::detail {
namespace {

template <Real T>
constexpr T infinity = std::numeric_limits<T>::infinity();

/// Above it, what terms below the smallest normal number would have added to a sum is less than its rounding.
template <Real T>
constexpr T tiny = std::numeric_limits<T>::min() / std::numeric_limits<T>::epsilon() * T(1e4);

/// The logarithm of the sum of the exponentials of n terms.
template <Real T, class F>
T log_sum_exp(Index n, F term) {
  T largest = -infinity<T>, sum = 0;
  for (Index i = 0; i < n; ++i) largest = math::max(largest, term(i));
  if (largest == -infinity<T>) return largest;
  for (Index i = 0; i < n; ++i) sum += std::exp(term(i) - largest);
  return largest + std::log(sum);
}

/// The right operand of a step's product: exp(score(from, to) - top(to)) with the largest of each column 1. What pads
/// its rows is 1 too, so that no sum there is small.
template <Real T>
struct StepMatrix {
  T *values, *top;
  Index labels, stride;

  static Index bytes(Index labels, Index stride) {
    return Pieces::bytes<T>(labels * stride) + Pieces::bytes<T>(stride);
  }
  template <class F>
  StepMatrix(Index labels, Index stride, Pieces& memory, F score)
      : values(memory.take<T>(labels * stride)), top(memory.take<T>(stride)), labels(labels), stride(stride) {
    std::fill_n(top, stride, T(0));
    std::fill_n(values, labels * stride, T(0));
    for (Index to = 0; to < labels; ++to) {
      T largest = -infinity<T>;
      for (Index from = 0; from < labels; ++from) largest = math::max(largest, score(from, to));
      top[to] = largest == -infinity<T> ? T(0) : largest;
      for (Index from = 0; from < labels; ++from) values[from * stride + to] = score(from, to) - top[to];
    }
    simd::map(values, values, labels * stride, [](auto v) { return math::exp(v); });
  }
  /// sums [rows, stride] of the exponentials `from` [rows, labels].
  void multiply(const T* from, T* sums, Index rows) const {
    gemm<T>(Trans::no, {from, rows, labels, stride}, Trans::no, {values, labels, stride, stride},
            {sums, rows, stride, stride}, false);
  }
};

/// to = exp(x + y - shift); returns its sum. y may be null.
template <Real T>
T exponentials(const T* x, const T* y, T shift, T* to, Index stride) {
  Batch<T> sum(T(0));
  for (Index c = 0; c < stride; c += lanes<T>) {
    Batch<T> v = Batch<T>::load_unaligned(x + c);
    if (y != nullptr) v += Batch<T>::load_unaligned(y + c);
    const Batch<T> e = math::exp(v - Batch<T>(shift));
    e.store_unaligned(to + c);
    sum += e;
  }
  return simd::total(sum);
}

/// x += top + log(sums); returns whether one of the sums is too small to be trusted.
template <Real T>
bool add_logarithms(const T* sums, const T* top, T* x, Index stride) {
  bool small = false;
  for (Index c = 0; c < stride; c += lanes<T>) {
    const Batch<T> s = Batch<T>::load_unaligned(sums + c);
    small = small || xsimd::any(s < Batch<T>(tiny<T>));
    (Batch<T>::load_unaligned(x + c) + Batch<T>::load_unaligned(top + c) + math::log(s)).store_unaligned(x + c);
  }
  return small;
}

template <Real T>
void add_rows(const T* x, T* to, Index stride) {
  for (Index c = 0; c < stride; c += lanes<T>)
    (Batch<T>::load_unaligned(to + c) + Batch<T>::load_unaligned(x + c)).store_unaligned(to + c);
}

template <Real T>
void scale_row(T factor, const T* x, T* to, Index stride) {
  for (Index c = 0; c < stride; c += lanes<T>)
    (Batch<T>(factor) * Batch<T>::load_unaligned(x + c)).store_unaligned(to + c);
}

/// to = exp(x), less a shift, to the sum 1; zeros if all is -infinity. `sum` is that of the exponentials.
template <Real T>
void normalize(T sum, T* x, Index stride) {
  scale_row(sum == 0 ? T(0) : 1 / sum, x, x, stride);
}

/// One pass from the last step to the first.
template <Real T>
struct BackwardPass {
  const ChainScores<T>& scores;
  const T *alpha, *seeds;
  const ChainExpectations<T>& to;
  Index labels, stride;
  StepMatrix<T> step;  // from the label after to the label before
  T *shares, *after;   // [rows, stride] see pair()
  T *sums, *joint, *shifts, *padded_end;

  static Index bytes(const ChainScores<T>& s) {
    const Index k = s.labels(), w = s.stride();
    return StepMatrix<T>::bytes(k, w) + 2 * Pieces::bytes<T>(s.rows() * w) + Pieces::bytes<T>(s.batch() * w) +
           Pieces::bytes<T>(k * w) + Pieces::bytes<T>(s.batch()) + Pieces::bytes<T>(w);
  }
  BackwardPass(const ChainScores<T>& s, const T* alpha, const T* seeds, const ChainExpectations<T>& to, Pieces memory)
      : scores(s),
        alpha(alpha),
        seeds(seeds),
        to(to),
        labels(s.labels()),
        stride(s.stride()),
        step(labels, stride, memory, [&](Index after, Index before) { return s.transitions.row(before)[after]; }),
        shares(memory.take<T>(s.rows() * stride)),
        after(memory.take<T>(s.rows() * stride)),
        sums(memory.take<T>(s.batch() * stride)),
        joint(memory.take<T>(labels * stride)),
        shifts(memory.take<T>(s.batch())),
        padded_end(memory.take<T>(stride)) {}

  void run() {
    pad_row(scores.end, labels, padded_end, stride, T(0));
    if (to.counts != nullptr) std::fill_n(to.counts, labels * stride, T(0));
    for (Index t = scores.steps.count(); t-- > 0;) {
      for (Index i = scores.alive(t + 1); i < scores.alive(t); ++i) finish(scores.at(t, i));
      if (t == 0) break;
      for (Index i = 0; i < scores.alive(t); ++i) enter(scores.at(t, i), i);
      step.multiply(after + scores.at(t, 0) * stride, sums, scores.alive(t));
      for (Index i = 0; i < scores.alive(t); ++i) pair(scores.at(t - 1, i), scores.at(t, i), i);
    }
    if (to.counts != nullptr) count();
  }
  /// The last step of a row.
  void finish(Index r) {
    T *const b = to.beta + r * stride, *const mu = to.marginals + r * stride;
    const T* const a = alpha + r * stride;
    std::copy_n(padded_end, stride, b);
    for (Index c = 0; c < stride; ++c) mu[c] = a[c] + b[c];
    normalize(exponentials<T>(mu, nullptr, shift_of(mu, stride), mu, stride), mu, stride);
  }
  /// exp(emission + beta), less a shift, of row i.
  void enter(Index r, Index i) {
    T* const u = after + r * stride;
    pad_row(scores.emissions.row(r), labels, u, stride, -infinity<T>);
    add_rows(to.beta + r * stride, u, stride);
    shifts[i] = shift_of(u, stride);
    exponentials<T>(u, nullptr, shifts[i], u, stride);
  }
  /// beta and marginals of the step before row r, which lies at row p. P(before, after) is what `shares` has for the
  /// one times exp(transition) times what `after` has for the other.
  void pair(Index p, Index r, Index i) {
    T *const b = to.beta + p * stride, *const mu = to.marginals + p * stride, *const share = shares + r * stride;
    const T *const a = alpha + p * stride, *const sum = sums + i * stride;
    std::fill_n(b, stride, T(0));
    if (add_logarithms(sum, step.top, b, stride))
      for (Index j = 0; j < labels; ++j)
        if (sum[j] < tiny<T>)
          b[j] = log_sum_exp<T>(labels, [&](Index k) { return scores.transitions.row(j)[k] + score_after(r, k, i); });
    for (Index c = 0; c < stride; ++c) share[c] = a[c] + step.top[c];
    exponentials<T>(share, nullptr, shift_of(share, stride), share, stride);
    const T total = simd::dot(share, sum, stride);
    if (!(total >= tiny<T>)) return pair_by_logarithms(p, r, i);
    for (Index c = 0; c < stride; ++c) mu[c] = share[c] * sum[c] / total;
    if (to.counts != nullptr) scale_row((seeds == nullptr ? T(1) : seeds[i]) / total, share, share, stride);
  }
  T score_after(Index r, Index k, Index i) const {
    return scores.emissions.row(r)[k] + to.beta[r * stride + k] - shifts[i];
  }
  void pair_by_logarithms(Index p, Index r, Index i) {
    T *const mu = to.marginals + p * stride, seed = seeds == nullptr ? T(1) : seeds[i];
    T largest = -infinity<T>, total = 0;
    for (Index j = 0; j < labels; ++j) {
      T* const row = joint + j * stride;
      for (Index k = 0; k < labels; ++k)
        row[k] = alpha[p * stride + j] + scores.transitions.row(j)[k] + score_after(r, k, i);
      std::fill(row + labels, row + stride, -infinity<T>);
      for (Index k = 0; k < labels; ++k) largest = math::max(largest, row[k]);
    }
    if (largest == -infinity<T>) largest = 0;
    std::fill_n(mu, stride, T(0));
    for (Index j = 0; j < labels; ++j)
      total += mu[j] = exponentials<T>(joint + j * stride, nullptr, largest, joint + j * stride, stride);
    normalize(total, mu, stride);
    std::fill_n(shares + r * stride, stride, T(0));
    if (to.counts != nullptr && total != 0)
      for (Index j = 0; j < labels; ++j)
        simd::add_scaled(seed / total, joint + j * stride, to.counts + j * stride, stride);
  }
  void count() {
    if (scores.steps.count() < 2) return;
    const Index first = scores.at(1, 0), pairs = scores.rows() - first;
    gemm<T>(Trans::yes, {shares + first * stride, pairs, labels, stride}, Trans::no,
            {after + first * stride, pairs, stride, stride}, {joint, labels, stride, stride}, false);
    for (Index j = 0; j < labels; ++j)
      for (Index k = 0; k < labels; ++k)
        to.counts[j * stride + k] += joint[j * stride + k] * step.values[k * stride + j];
  }
};

}  // namespace

template <Real T>
Index chain_forward_bytes(const ChainScores<T>& s) {
  return StepMatrix<T>::bytes(s.labels(), s.stride()) + 2 * Pieces::bytes<T>(s.batch() * s.stride());
}

template <Real T>
void chain_forward(const ChainScores<T>& s, T* alpha, double* log_z, Pieces memory) {
  const Index labels = s.labels(), stride = s.stride();
  const StepMatrix<T> step(labels, stride, memory, [&](Index j, Index k) { return s.transitions.row(j)[k]; });
  T *const before = memory.take<T>(s.batch() * stride), *const sums = memory.take<T>(s.batch() * stride);
  for (Index r = 0; r < s.rows(); ++r) pad_row(s.emissions.row(r), labels, alpha + r * stride, stride, -infinity<T>);
  for (Index i = 0; i < s.batch(); ++i) {
    log_z[i] = 0;
    for (Index k = 0; k < labels; ++k) alpha[i * stride + k] += s.start[k];
  }
  for (Index t = 0; t < s.steps.count(); ++t) {
    for (Index i = s.alive(t + 1); i < s.alive(t); ++i) {
      const T* const a = alpha + s.at(t, i) * stride;
      log_z[i] += static_cast<double>(log_sum_exp<T>(labels, [&](Index k) { return a[k] + s.end[k]; }));
    }
    for (Index i = 0; i < s.alive(t + 1); ++i) {
      const T* const a = alpha + s.at(t, i) * stride;
      const T shift = shift_of(a, stride);
      log_z[i] += static_cast<double>(shift);
      exponentials<T>(a, nullptr, shift, before + i * stride, stride);
    }
    if (s.alive(t + 1) > 0) step.multiply(before, sums, s.alive(t + 1));
    for (Index i = 0; i < s.alive(t + 1); ++i) {
      const Index r = s.at(t + 1, i);
      T* const a = alpha + r * stride;
      if (!add_logarithms(sums + i * stride, step.top, a, stride)) continue;
      const T* const p = alpha + s.at(t, i) * stride;
      const T shift = shift_of(p, stride);
      for (Index k = 0; k < labels; ++k)
        if (sums[i * stride + k] < tiny<T>)
          a[k] = s.emissions.row(r)[k] +
                 log_sum_exp<T>(labels, [&](Index j) { return p[j] - shift + s.transitions.row(j)[k]; });
    }
  }
}

template <Real T>
Index chain_backward_bytes(const ChainScores<T>& scores) {
  return BackwardPass<T>::bytes(scores);
}

template <Real T>
void chain_backward(const ChainScores<T>& scores, const T* alpha, const T* seeds, const ChainExpectations<T>& to,
                    Pieces memory) {
  BackwardPass<T>(scores, alpha, seeds, to, memory).run();
}

#define UNROLL_INSTANTIATE(T)                                                                                   \
  template void chain_forward(const ChainScores<T>&, T*, double*, Pieces);                                      \
  template Index chain_forward_bytes(const ChainScores<T>&);                                                    \
  template void chain_backward(const ChainScores<T>&, const T*, const T*, const ChainExpectations<T>&, Pieces); \
  template Index chain_backward_bytes(const ChainScores<T>&);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)

}  // namespace unroll::inline UNROLL_ISA::detail
