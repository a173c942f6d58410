#include <unroll/autograd/ops/chain.h>

#include <unroll/autograd/ops/chain_lattice.h>
#include <unroll/autograd/ops/layout.h>

namespace unroll::inline UNROLL_ISA::detail {
namespace {

template <Real T>
ChainScores<T> scores_of(const ChainOperands<T>& c) {
  return {values(c.emissions), values(c.transitions), values(c.start).data, values(c.end).data, c.steps};
}

/// f(step, row of the step, row of the emissions)
template <Real T, class F>
void for_each_step(const ChainScores<T>& s, F f) {
  for (Index t = 0; t < s.steps.count(); ++t)
    for (Index i = 0; i < s.alive(t); ++i) f(t, i, s.at(t, i));
}

/// Adds to the gradients of all operands what the scores of labels [rows, stride], each row times its seed, and of
/// transitions [labels, stride] receive.
template <Real T>
void deliver(const ChainOperands<T>& c, const T* labels, const T* counts, const T* seeds) {
  const ChainScores<T> s = scores_of(c);
  const Index n = s.labels(), stride = s.stride();
  const auto add = [&](Index i, const T* row, T* to) {
    simd::add_scaled(seeds == nullptr ? T(1) : seeds[i], row, to, n);
  };
  if (wanted(c.emissions)) {
    const View<T> d = gradient(c.emissions);
    for_each_step(s, [&](Index, Index i, Index r) { add(i, labels + r * stride, d.row(r)); });
  }
  if (wanted(c.start)) {
    T* const d = gradient(c.start).data;
    for (Index i = 0; i < s.batch(); ++i) add(i, labels + s.at(0, i) * stride, d);
  }
  if (wanted(c.end)) {
    T* const d = gradient(c.end).data;
    for_each_step(s, [&](Index t, Index i, Index r) {
      if (i >= s.alive(t + 1)) add(i, labels + r * stride, d);
    });
  }
  if (wanted(c.transitions)) {
    const View<T> d = gradient(c.transitions);
    for (Index j = 0; j < n; ++j) simd::add_scaled(T(1), counts + j * stride, d.row(j), n);
  }
}

/// Minus or plus the score of one path of each row.
template <Real T>
struct ChainPath {
  std::span<const std::int32_t> labels;

  std::int32_t at(Index r) const { return labels[static_cast<std::size_t>(r)]; }

  void add_score(const ChainScores<T>& s, double sign, double* to) const {
    for_each_step(s, [&](Index t, Index i, Index r) {
      double score = static_cast<double>(s.emissions.row(r)[at(r)]);
      score += static_cast<double>(t == 0 ? s.start[at(r)] : s.transitions.row(at(s.at(t - 1, i)))[at(r)]);
      if (i >= s.alive(t + 1)) score += static_cast<double>(s.end[at(r)]);
      to[i] += sign * score;
    });
  }
  void add_gradient(const ChainOperands<T>& c, T sign, const T* seeds) const {
    const ChainScores<T> s = scores_of(c);
    const View<T> none{}, dx = wanted(c.emissions) ? gradient(c.emissions) : none,
                          da = wanted(c.transitions) ? gradient(c.transitions) : none,
                          ds = wanted(c.start) ? gradient(c.start) : none, dz = wanted(c.end) ? gradient(c.end) : none;
    for_each_step(s, [&](Index t, Index i, Index r) {
      const T seed = sign * seeds[i];
      if (dx.data != nullptr) dx.row(r)[at(r)] += seed;
      if (t == 0 && ds.data != nullptr) ds.data[at(r)] += seed;
      if (t > 0 && da.data != nullptr) da.row(at(s.at(t - 1, i)))[at(r)] += seed;
      if (i >= s.alive(t + 1) && dz.data != nullptr) dz.data[at(r)] += seed;
    });
  }
};

template <Real T>
struct ChainScore {
  static constexpr const char* name = "chain_score";
  ChainOperands<T> chain;
  ChainPath<T> path;

  void forward(Var<T> y) const {
    const ChainScores<T> s = scores_of(chain);
    const std::span<double> total = y.tape().template scratch<double>(s.batch());
    std::fill(total.begin(), total.end(), 0.0);
    path.add_score(s, 1, total.data());
    std::copy(total.begin(), total.end(), result(y).data);
  }
  void backward(Var<T> y) const { path.add_gradient(chain, 1, gradient(y).data); }
};

/// The logarithm of the sum over all paths, less the score of one if there are labels.
template <Real T>
struct ChainLikelihood {
  static constexpr const char* name = "chain_likelihood";
  ChainOperands<T> chain;
  ChainPath<T> path;
  std::span<T> alpha;  // empty: there will be no backward

  void forward(Var<T> y) const {
    const ChainScores<T> s = scores_of(chain);
    const Index cells = s.rows() * s.stride();
    Pieces memory(y.tape().template scratch<std::byte>(chain_forward_bytes(s) + Pieces::bytes<T>(cells) +
                                                       Pieces::bytes<double>(s.batch())));
    double* const total = memory.take<double>(s.batch());
    T* const a = alpha.empty() ? memory.take<T>(cells) : alpha.data();
    chain_forward(s, a, total, memory);
    if (!path.labels.empty()) path.add_score(s, -1, total);
    for (Index i = 0; i < s.batch(); ++i) result(y).data[i] = static_cast<T>(total[i]);
  }
  void backward(Var<T> y) const {
    const ChainScores<T> s = scores_of(chain);
    const Index cells = s.rows() * s.stride(), pairs = s.labels() * s.stride();
    const T* const seeds = gradient(y).data;
    Pieces memory(y.tape().template scratch<std::byte>(chain_backward_bytes(s) + 2 * Pieces::bytes<T>(cells) +
                                                       Pieces::bytes<T>(pairs)));
    const ChainExpectations<T> e{memory.take<T>(cells), memory.take<T>(cells),
                                 wanted(chain.transitions) ? memory.take<T>(pairs) : nullptr};
    chain_backward(s, alpha.data(), seeds, e, memory);
    deliver(chain, e.marginals, e.counts, seeds);
    if (!path.labels.empty()) path.add_gradient(chain, T(-1), seeds);
  }
};

/// What marginals and entropy keep of the forward pass, and how they go back.
template <Real T>
struct ChainPosterior {
  ChainOperands<T> chain;
  std::span<T> kept;  // marginals and beta, each [rows, stride]; empty: there will be no backward

  /// use(scores, expectations, memory), where as much memory as a row and step takes is left.
  template <class F>
  void forward(Tape<T>& tape, F use) const {
    const ChainScores<T> s = scores_of(chain);
    const Index cells = s.rows() * s.stride(), piece = Pieces::bytes<T>(cells);
    Pieces memory(tape.template scratch<std::byte>(
        std::max(chain_forward_bytes(s), std::max(chain_backward_bytes(s), chain_covariance_bytes(s))) + 4 * piece +
        Pieces::bytes<double>(s.batch())));
    double* const log_z = memory.take<double>(s.batch());
    T *const alpha = memory.take<T>(cells), *const spare = memory.take<T>(2 * cells);
    T* const held = kept.empty() ? spare : kept.data();
    const ChainExpectations<T> e{held, held + cells, nullptr};
    chain_forward(s, alpha, log_z, memory);
    chain_backward(s, alpha, static_cast<const T*>(nullptr), e, memory);
    use(s, e, alpha, memory);  // alpha is no longer needed
  }
  void backward(Tape<T>& tape, const ChainCost<T>& cost, const T* seeds) const {
    const ChainScores<T> s = scores_of(chain);
    const Index cells = s.rows() * s.stride(), pairs = s.labels() * s.stride();
    Pieces memory(tape.template scratch<std::byte>(chain_covariance_bytes(s) + 2 * Pieces::bytes<T>(cells) +
                                                   Pieces::bytes<T>(pairs)));
    T* const future = memory.take<T>(cells);
    const ChainExpectations<T> e{kept.data(), kept.data() + cells, nullptr};
    const ChainCovariance<T> d{memory.take<T>(cells), wanted(chain.transitions) ? memory.take<T>(pairs) : nullptr};
    chain_future(s, e.beta, cost, future, memory);
    chain_covariance(s, e, cost, future, seeds, d, memory);
    deliver(chain, d.labels, d.counts, seeds);
  }
};

template <Real T>
struct ChainMarginals {
  static constexpr const char* name = "chain_marginals";
  ChainPosterior<T> posterior;

  void forward(Var<T> y) const {
    posterior.forward(y.tape(), [&](const ChainScores<T>& s, const ChainExpectations<T>& e, T*, Pieces) {
      const View<T> to = result(y);
      for (Index r = 0; r < to.rows; ++r) std::copy_n(e.marginals + r * s.stride(), to.cols, to.row(r));
    });
  }
  void backward(Var<T> y) const { posterior.backward(y.tape(), {gradient(y)}, nullptr); }
};

template <Real T>
struct ChainEntropy {
  static constexpr const char* name = "chain_entropy";
  ChainPosterior<T> posterior;

  void forward(Var<T> y) const {
    posterior.forward(y.tape(), [&](const ChainScores<T>& s, const ChainExpectations<T>& e, T* future, Pieces memory) {
      chain_future(s, e.beta, ChainCost<T>{}, future, memory);
      for (Index i = 0; i < s.batch(); ++i) {
        const Index first = s.at(0, i) * s.stride();
        T total = 0;
        for (Index k = first; k < first + s.labels(); ++k)
          if (const T p = e.marginals[k]; p != 0) total += p * (future[k] - std::log(p));
        result(y).data[i] = total;
      }
    });
  }
  void backward(Var<T> y) const { posterior.backward(y.tape(), {}, gradient(y).data); }
};

/// The operands with their extents checked, and lying so that the kernels can read them.
template <Real T>
ChainOperands<T> checked(const ChainOperands<T>& c, const char* op) {
  Tape<T>& tape = c.emissions.tape();
  const Shape rows = tape.checked(c.emissions, op).shape, pairs = tape.checked(c.transitions, op).shape,
              start = tape.checked(c.start, op).shape, end = tape.checked(c.end, op).shape;
  const Index labels = rows.cols(), batch = c.steps.count() == 0 ? 0 : c.steps.alive[0];
  tape.template require<ShapeError>(
      rows.rank() == 2 && labels > 0 && pairs == Shape{labels, labels} && start == Shape{labels} && start == end,
      "{}: emissions {}, transitions {}, start {} and end {} do not fit", op, rows, pairs, start, end);
  check_steps(tape, rows, Shape{batch, labels}, c.steps, op);
  return {c.emissions,
          c.transitions,
          contiguous(c.start),
          contiguous(c.end),
          {tape.keep(c.steps.alive), tape.keep(c.steps.offsets)}};
}

template <Real T>
ChainPath<T> checked_path(const ChainOperands<T>& c, std::span<const std::int32_t> labels, const char* op) {
  Tape<T>& tape = c.emissions.tape();
  const Shape rows = c.emissions.shape();
  tape.template require<ShapeError>(static_cast<Index>(labels.size()) == rows[0], "{}: {} labels for emissions {}", op,
                                    labels.size(), rows);
  for (std::size_t r = 0; r < labels.size(); ++r)
    tape.template require<IndexError>(labels[r] >= 0 && labels[r] < rows[1],
                                      "{}: label {} of row {} is outside 0 .. {}", op, labels[r], r, rows[1] - 1);
  return {tape.keep(labels)};
}

/// `arrays` of [rows, stride], unless nothing will be asked of them again.
template <Real T>
std::span<T> room_for(const ChainOperands<T>& c, Index arrays) {
  const ChainScores<T> s = scores_of(c);
  Tape<T>& tape = c.emissions.tape();
  return tape.training() ? tape.template room<T>(arrays * s.rows() * s.stride()) : std::span<T>();
}

template <Real T, class R>
Var<T> record_chain(const Shape& shape, const R& rule, const ChainOperands<T>& c) {
  return record(shape, rule, c.emissions, c.transitions, c.start, c.end);
}

template <Real T>
Shape one_for_each_row(const ChainOperands<T>& c) {
  return {c.steps.count() == 0 ? 0 : c.steps.alive[0]};
}

}  // namespace

template <Real T>
Var<T> chain_log_partition(const ChainOperands<T>& chain) {
  const ChainOperands<T> c = checked(chain, "chain_log_partition");
  return record_chain(one_for_each_row(c), ChainLikelihood<T>{c, {}, room_for(c, 1)}, c);
}

template <Real T>
Var<T> chain_score(const ChainOperands<T>& chain, std::span<const std::int32_t> labels) {
  const ChainOperands<T> c = checked(chain, "chain_score");
  return record_chain(one_for_each_row(c), ChainScore<T>{c, checked_path(c, labels, "chain_score")}, c);
}

template <Real T>
Var<T> chain_nll(const ChainOperands<T>& chain, std::span<const std::int32_t> labels) {
  const ChainOperands<T> c = checked(chain, "chain_nll");
  return record_chain(one_for_each_row(c), ChainLikelihood<T>{c, checked_path(c, labels, "chain_nll"), room_for(c, 1)},
                      c);
}

template <Real T>
Var<T> chain_marginals(const ChainOperands<T>& chain) {
  const ChainOperands<T> c = checked(chain, "chain_marginals");
  return record_chain(c.emissions.shape(), ChainMarginals<T>{{c, room_for(c, 2)}}, c);
}

template <Real T>
Var<T> chain_entropy(const ChainOperands<T>& chain) {
  const ChainOperands<T> c = checked(chain, "chain_entropy");
  return record_chain(one_for_each_row(c), ChainEntropy<T>{{c, room_for(c, 2)}}, c);
}

#define UNROLL_INSTANTIATE(T)                                                          \
  template Var<T> chain_log_partition(const ChainOperands<T>&);                        \
  template Var<T> chain_score(const ChainOperands<T>&, std::span<const std::int32_t>); \
  template Var<T> chain_nll(const ChainOperands<T>&, std::span<const std::int32_t>);   \
  template Var<T> chain_marginals(const ChainOperands<T>&);                            \
  template Var<T> chain_entropy(const ChainOperands<T>&);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)

}  // namespace unroll::inline UNROLL_ISA::detail
