#include <unroll/layers/crf.h>

#include <unroll/autograd/ops/elementwise.h>
#include <unroll/autograd/ops/layout.h>
#include <unroll/autograd/ops/reduce.h>
#include <unroll/layers/crf_paths.h>
#include <unroll/layers/place.h>
#include <unroll/layers/ragged.h>

namespace unroll::inline UNROLL_ISA {
namespace {

/// The emissions of a batch as the ops want them: valid steps alone, rows that end earlier later.
template <Real T>
struct CrfBatch {
  const LinearChainCrf<T>& crf;
  Tape<T>& tape;
  Shape shape;  // [time, batch, labels]
  std::span<const Index> lengths;
  detail::PlaceGuard<T> place;
  Var<T> rows;
  ScanSteps steps;
  std::span<const Index> order, rank, packed, unpacked;  // see Ragged; empty if all rows are full

  CrfBatch(const LinearChainCrf<T>& crf, Var<T> emissions, std::span<const Index> given)
      : crf(crf),
        tape(emissions.tape()),
        shape(tape.checked(emissions, "crf").shape),
        lengths(given),
        place(tape, detail::place_of_layer(crf)) {
    tape.template require<ShapeError>(shape.rank() == 3 && shape[2] == crf.labels(),
                                      "crf: emissions [time, batch, {}] are needed, not {}", crf.labels(), shape);
    tape.template require<ShapeError>(lengths.empty() || static_cast<Index>(lengths.size()) == shape[1],
                                      "crf: {} lengths for emissions {}", lengths.size(), shape);
    for (std::size_t b = 0; b < lengths.size(); ++b)
      tape.template require<ShapeError>(lengths[b] >= 0 && lengths[b] <= shape[0],
                                        "crf: length {} of row {} in emissions {}", lengths[b], b, shape);
  }
  Index time() const { return shape[0]; }
  Index batch() const { return shape[1]; }
  Index length(Index b) const { return lengths.empty() ? time() : lengths[static_cast<std::size_t>(b)]; }
  Index count() const {
    Index n = 0;
    for (Index b = 0; b < batch(); ++b) n += length(b);
    return n;
  }

  void pack(Var<T> emissions) {
    if (std::all_of(lengths.begin(), lengths.end(), [&](Index n) { return n == time(); })) {
      const auto alive = tape.template room<Index>(time()), offsets = tape.template room<Index>(time());
      for (Index t = 0; t < time(); ++t) {
        alive[static_cast<std::size_t>(t)] = batch();
        offsets[static_cast<std::size_t>(t)] = t * batch();
      }
      rows = reshape(emissions, {time() * batch(), shape[2]});
      steps = {alive, offsets};
      return;
    }
    const Ragged ragged(tape, lengths, time(), false);
    steps = {ragged.alive, ragged.offsets};
    order = ragged.order, rank = ragged.rank, packed = ragged.packed, unpacked = ragged.unpacked;
    rows = gather_rows(emissions, packed, Shape{ragged.rows, shape[2]});
  }
  /// The same, when each row must have a path.
  void pack_where_paths_exist(Var<T> emissions) {
    check_paths_exist();
    pack(emissions);
  }
  /// One value for each row, in the order of the batch; 0 for rows of no step.
  Var<T> unpack(Var<T> y) const {
    const Index there = y.shape()[0];
    if (there == batch() && rank.empty()) return y;
    const auto from = tape.template room<Index>(batch());
    for (std::size_t b = 0; b < from.size(); ++b) {
      const Index place = rank.empty() ? static_cast<Index>(b) : rank[b];
      from[b] = place < there ? place : -1;
    }
    return reshape(gather_rows(reshape(y, {there, 1}), from, Shape{batch(), 1}), {batch()});
  }

  /// The scores, with -infinity for what is forbidden.
  Var<T> allowed(const Parameter<T>& scores, const std::vector<std::uint8_t>& mask) const {
    if (mask.empty()) return tape.use(scores);
    const auto kept = tape.template room<T>(static_cast<Index>(mask.size()));
    std::copy(mask.begin(), mask.end(), kept.begin());
    return where(tape.constant(scores.shape(), std::span<const T>(kept)), scores, -std::numeric_limits<T>::infinity());
  }
  /// op(rows, transitions, start, end)
  template <class F>
  Var<T> run(F op) const {
    const LabelConstraint& c = crf.constraint;
    return op(rows, allowed(crf.transitions, c.transitions), allowed(crf.start, c.start), allowed(crf.end, c.end));
  }

  void check_paths_exist() const {
    if (crf.constraint.empty()) return;
    const std::vector<std::uint8_t> feasible = crf.constraint.feasible(time());
    for (Index b = 0; b < batch(); ++b)
      tape.template require<ValueError>(feasible[static_cast<std::size_t>(length(b))] != 0,
                                        "crf: the constraint leaves row {} no path of {} steps", b, length(b));
  }
  void check_path(std::span<const std::int32_t> labels, Index b) const {
    const LabelConstraint& c = crf.constraint;
    const Index n = length(b);
    const auto at = [&](Index t) { return labels[static_cast<std::size_t>(t * batch() + b)]; };
    for (Index t = 0; t < n; ++t)
      tape.template require<IndexError>(at(t) >= 0 && at(t) < crf.labels(),
                                        "crf: label {} of row {} at step {} is outside 0 .. {}", at(t), b, t,
                                        crf.labels() - 1);
    if (c.empty() || n == 0) return;
    tape.template require<ValueError>(c.may_start(at(0)),
                                      "crf: row {} starts with label {} at step 0, which is forbidden", b, at(0));
    for (Index t = 1; t < n; ++t)
      tape.template require<ValueError>(c.allows(at(t - 1), at(t)),
                                        "crf: row {} goes from label {} to {} at step {}, which is forbidden", b,
                                        at(t - 1), at(t), t);
    tape.template require<ValueError>(
        c.may_end(at(n - 1)), "crf: row {} ends with label {} at step {}, which is forbidden", b, at(n - 1), n - 1);
  }
  /// The labels of the rows.
  std::span<const std::int32_t> pack_labels(std::span<const std::int32_t> labels) const {
    tape.template require<ShapeError>(static_cast<Index>(labels.size()) == time() * batch(),
                                      "crf: {} labels for emissions {}", labels.size(), shape);
    for (Index b = 0; b < batch(); ++b) check_path(labels, b);
    if (order.empty()) return labels;
    const auto result = tape.template room<std::int32_t>(static_cast<Index>(packed.size()));
    for (std::size_t r = 0; r < packed.size(); ++r) result[r] = labels[static_cast<std::size_t>(packed[r])];
    return result;
  }
};

/// Searches each row: search(the search) gives the paths, of which there must be one.
template <Real T, class F>
void search_rows(const LinearChainCrf<T>& crf, Var<T> emissions, std::span<const Index> lengths, F search) {
  const CrfBatch<T> batch(crf, emissions, lengths);
  batch.check_paths_exist();
  detail::PathSearch paths(crf);
  const View<const T> x = values(emissions);
  for (Index b = 0; b < batch.batch(); ++b) {
    const std::span<double> to = paths.emissions(batch.length(b));
    for (Index t = 0; t < batch.length(b); ++t)
      std::copy_n(x.row(t * batch.batch() + b), x.cols, to.data() + t * x.cols);
    batch.tape.template require<ValueError>(search(paths), "crf: no path of {} steps through row {} has a finite score",
                                            batch.length(b), b);
  }
}

}  // namespace

template <Real T>
LinearChainCrf<T>::LinearChainCrf(Index labels, Rng& rng, LabelConstraint constraint)
    : transitions(init::uniform<T>({labels, labels}, 0.1, rng)),
      start(init::uniform<T>({labels}, 0.1, rng)),
      end(init::uniform<T>({labels}, 0.1, rng)),
      constraint(std::move(constraint)) {
  this->constraint.check();
  require<ShapeError>(this->constraint.empty() || this->constraint.labels == labels,
                      "crf: a constraint of {} labels for {}", this->constraint.labels, labels);
}

template <Real T>
Var<T> LinearChainCrf<T>::loss(Var<T> emissions, std::span<const std::int32_t> labels, std::span<const Index> lengths,
                               CrfReduction reduction) const {
  CrfBatch<T> b(*this, emissions, lengths);
  b.pack(emissions);
  const auto path = b.pack_labels(labels);
  const Index share = reduction == CrfReduction::sum             ? 1
                      : reduction == CrfReduction::mean_per_step ? b.count()
                                                                 : b.batch();
  b.tape.template require<ValueError>(share > 0, "crf: there is nothing to average over in emissions {}", b.shape);
  const Var<T> nll = b.run([&](auto x, auto a, auto s, auto e) { return chain_nll(x, a, s, e, path, b.steps); });
  return sum(nll) * (1.0 / static_cast<double>(share));
}

template <Real T>
Var<T> LinearChainCrf<T>::log_likelihood(Var<T> emissions, std::span<const std::int32_t> labels,
                                         std::span<const Index> lengths) const {
  CrfBatch<T> b(*this, emissions, lengths);
  b.pack(emissions);
  const auto path = b.pack_labels(labels);
  return b.unpack(-b.run([&](auto x, auto a, auto s, auto e) { return chain_nll(x, a, s, e, path, b.steps); }));
}

template <Real T>
Var<T> LinearChainCrf<T>::score(Var<T> emissions, std::span<const std::int32_t> labels,
                                std::span<const Index> lengths) const {
  CrfBatch<T> b(*this, emissions, lengths);
  b.pack(emissions);
  const auto path = b.pack_labels(labels);
  return b.unpack(b.run([&](auto x, auto a, auto s, auto e) { return chain_score(x, a, s, e, path, b.steps); }));
}

template <Real T>
Var<T> LinearChainCrf<T>::log_partition(Var<T> emissions, std::span<const Index> lengths) const {
  CrfBatch<T> b(*this, emissions, lengths);
  b.pack_where_paths_exist(emissions);
  return b.unpack(b.run([&](auto x, auto a, auto s, auto e) { return chain_log_partition(x, a, s, e, b.steps); }));
}

template <Real T>
Var<T> LinearChainCrf<T>::marginals(Var<T> emissions, std::span<const Index> lengths) const {
  CrfBatch<T> b(*this, emissions, lengths);
  b.pack_where_paths_exist(emissions);
  const Var<T> y = b.run([&](auto x, auto a, auto s, auto e) { return chain_marginals(x, a, s, e, b.steps); });
  return b.order.empty() ? reshape(y, b.shape) : gather_rows(y, b.unpacked, b.shape);
}

template <Real T>
Tensor<T> LinearChainCrf<T>::marginals(const Tensor<T>& emissions, std::span<const Index> lengths) const {
  Tape<T> tape = Tape<T>::inference();
  return marginals(tape.constant(emissions), lengths).value();
}

template <Real T>
Var<T> LinearChainCrf<T>::entropy(Var<T> emissions, std::span<const Index> lengths) const {
  CrfBatch<T> b(*this, emissions, lengths);
  b.pack_where_paths_exist(emissions);
  return b.unpack(b.run([&](auto x, auto a, auto s, auto e) { return chain_entropy(x, a, s, e, b.steps); }));
}

template <Real T>
std::vector<LabelPath> LinearChainCrf<T>::viterbi(Var<T> emissions, std::span<const Index> lengths) const {
  std::vector<LabelPath> result;
  search_rows(*this, emissions, lengths, [&](detail::PathSearch& search) {
    const std::vector<LabelPath> best = search.best();
    result.insert(result.end(), best.begin(), best.end());
    return !best.empty();
  });
  return result;
}

template <Real T>
std::vector<LabelPath> LinearChainCrf<T>::viterbi(const Tensor<T>& emissions, std::span<const Index> lengths) const {
  Tape<T> tape = Tape<T>::inference();
  return viterbi(tape.constant(emissions), lengths);
}

template <Real T>
std::vector<std::vector<LabelPath>> LinearChainCrf<T>::k_best(Var<T> emissions, Index k,
                                                              std::span<const Index> lengths) const {
  require<ValueError>(k >= 1, "crf: the {} best paths were asked for", k);
  std::vector<std::vector<LabelPath>> result;
  search_rows(*this, emissions, lengths,
              [&](detail::PathSearch& search) { return !result.emplace_back(search.best(k)).empty(); });
  return result;
}

template <Real T>
std::vector<std::vector<LabelPath>> LinearChainCrf<T>::k_best(const Tensor<T>& emissions, Index k,
                                                              std::span<const Index> lengths) const {
  Tape<T> tape = Tape<T>::inference();
  return k_best(tape.constant(emissions), k, lengths);
}

template struct LinearChainCrf<float>;
template struct LinearChainCrf<double>;

}  // namespace unroll::inline UNROLL_ISA
