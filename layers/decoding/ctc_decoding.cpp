#include <unroll/layers/decoding/ctc_decoding.h>

#include <algorithm>

namespace unroll::inline UNROLL_ISA {
namespace {

constexpr double never = -std::numeric_limits<double>::infinity();

double log_sum(double a, double b) {
  const double most = std::max(a, b);
  return most == never ? never : most + std::log1p(std::exp(std::min(a, b) - most));
}

template <Real T>
void check(const Var<T>& logits, std::span<const Index> lengths, std::int32_t blank, const char* op) {
  Tape<T>& tape = logits.tape();
  const Shape shape = tape.checked(logits, op).shape;
  tape.template require<ShapeError>(shape.rank() == 3, "{}: logits [time, batch, classes] are needed, not {}", op,
                                    shape);
  tape.template require<ShapeError>(lengths.empty() || static_cast<Index>(lengths.size()) == shape[1],
                                    "{}: {} lengths for logits {}", op, lengths.size(), shape);
  for (std::size_t b = 0; b < lengths.size(); ++b)
    tape.template require<ShapeError>(lengths[b] >= 0 && lengths[b] <= shape[0], "{}: length {} of row {} in logits {}",
                                      op, lengths[b], b, shape);
  tape.template require<IndexError>(blank >= 0 && blank < shape[2], "{}: the blank {} is outside 0 .. {}", op, blank,
                                    shape[2] - 1);
}

/// One row's prefixes as a tree, and the probabilities of those in the beam.
class PrefixBeam {
 public:
  PrefixBeam(const CtcBeamOptions& options, PrefixModel* language_model) : o_(options), model_(language_model) {
    if (model_ != nullptr) model_->restart();
    nodes_.push_back({-1, -1, 0, 0, 0, {}});
    nodes_[0].beam = 0;
    beam_.push_back({0, {0.0, never}, 0.0});
  }

  void step(std::span<const double> log_p) {
    next_.clear();
    for (const Entry& e : beam_) {
      const std::int32_t last = nodes_[at(e.node)].label;
      const double total = e.now.total();
      Ends& same = ends_of(e.node);
      same.blank = log_sum(same.blank, total + log_p[at(o_.blank)]);
      if (last >= 0) same.label = log_sum(same.label, e.now.label + log_p[at(last)]);
      for (std::int32_t c = 0; c < static_cast<std::int32_t>(log_p.size()); ++c) {
        const double from = c == last ? e.now.blank : total;
        if (c == o_.blank || from + log_p[at(c)] == never) continue;
        Ends& longer = ends_of(child(e.node, c));
        longer.label = log_sum(longer.label, from + log_p[at(c)]);
      }
    }
    for (Entry& e : next_) {
      e.score = e.now.total() + nodes_[at(e.node)].bonus;
      nodes_[at(e.node)].beam = -1;
    }
    // Ties go to the prefix that was met first.
    const auto better = [](const Entry& a, const Entry& b) {
      return a.score != b.score ? a.score > b.score : a.node < b.node;
    };
    const auto kept = std::min(next_.size(), static_cast<std::size_t>(o_.width));
    std::partial_sort(next_.begin(), next_.begin() + static_cast<Index>(kept), next_.end(), better);
    next_.resize(kept);
    std::swap(beam_, next_);
    if (model_ != nullptr)
      for (const Entry& e : beam_) read(e.node);
  }

  std::vector<Transcript> best() {
    std::vector<Transcript> all;
    for (const Entry& e : beam_) {
      Transcript t{{}, e.now.total(), e.score};
      if (model_ != nullptr) t.score += o_.language_weight * model_->end_log_probability(read(e.node));
      for (Index n = e.node; n > 0; n = nodes_[at(n)].parent) t.labels.push_back(nodes_[at(n)].label);
      std::reverse(t.labels.begin(), t.labels.end());
      if (t.log_probability != never) all.push_back(std::move(t));
    }
    std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
    if (static_cast<Index>(all.size()) > o_.best) all.resize(at(o_.best));
    return all;
  }

 private:
  /// The log probability of a prefix whose alignment ends in a blank, or in its last label.
  struct Ends {
    double blank = never, label = never;
    double total() const { return log_sum(blank, label); }
  };
  struct Entry {
    Index node;
    Ends now;
    double score;
  };
  struct Node {
    Index parent;
    std::int32_t label;
    Index beam;      // its place among the entries of the next step, or -1
    double bonus;    // what language model and length add to the score
    Index known_as;  // by the language model; -1: not read yet
    std::vector<std::pair<std::int32_t, Index>> children;
  };

  static std::size_t at(Index i) { return static_cast<std::size_t>(i); }

  Ends& ends_of(Index node) {
    Index& place = nodes_[at(node)].beam;
    if (place < 0 || place >= static_cast<Index>(next_.size()) || next_[at(place)].node != node) {
      place = static_cast<Index>(next_.size());
      next_.push_back({node, {}, 0});
    }
    return next_[at(place)].now;
  }
  Index child(Index node, std::int32_t label) {
    for (const auto& [l, n] : nodes_[at(node)].children)
      if (l == label) return n;
    const auto n = static_cast<Index>(nodes_.size());
    double bonus = nodes_[at(node)].bonus + o_.label_bonus;
    if (model_ != nullptr) bonus += o_.language_weight * model_->log_probability(read(node), label);
    nodes_[at(node)].children.emplace_back(label, n);
    nodes_.push_back({node, label, -1, bonus, -1, {}});
    return n;
  }
  Index read(Index node) {
    if (nodes_[at(node)].known_as < 0) {
      const Index before = read(nodes_[at(node)].parent);
      nodes_[at(node)].known_as = model_->extend(before, nodes_[at(node)].label);
    }
    return nodes_[at(node)].known_as;
  }

  const CtcBeamOptions& o_;
  PrefixModel* model_;
  std::vector<Node> nodes_;
  std::vector<Entry> beam_, next_;
};

}  // namespace

template <Real T>
Labels ctc_greedy(const Var<T>& logits, std::span<const Index> lengths, std::int32_t blank) {
  check(logits, lengths, blank, "ctc_greedy");
  const Shape shape = logits.shape();
  const View<const T> x = values(logits);
  Labels all(static_cast<std::size_t>(shape[1]));
  for (Index b = 0; b < shape[1]; ++b) {
    std::int32_t last = blank;
    for (Index t = 0; t < (lengths.empty() ? shape[0] : lengths[static_cast<std::size_t>(b)]); ++t) {
      const T* const row = x.row(t * shape[1] + b);
      const T largest = simd::max(row, shape[2]);
      require<ValueError>(largest == largest, "ctc_greedy: a logit of step {} of row {} is NaN", t, b);
      const auto c = static_cast<std::int32_t>(std::find(row, row + shape[2], largest) - row);
      if (c != blank && c != last) all[static_cast<std::size_t>(b)].push_back(c);
      last = c;
    }
  }
  return all;
}

template <Real T>
std::vector<std::vector<Transcript>> ctc_beam_search(const Var<T>& logits, std::span<const Index> lengths,
                                                     const CtcBeamOptions& options, PrefixModel* language_model) {
  check(logits, lengths, options.blank, "ctc_beam_search");
  require<ValueError>(options.best >= 1 && options.width >= options.best,
                      "ctc_beam_search: the {} best of a beam of {} are wanted", options.best, options.width);
  const Shape shape = logits.shape();
  const View<const T> x = values(logits);
  std::vector<std::vector<Transcript>> all;
  std::vector<double> log_p(static_cast<std::size_t>(shape[2]));
  for (Index b = 0; b < shape[1]; ++b) {
    PrefixBeam beam(options, language_model);
    for (Index t = 0; t < (lengths.empty() ? shape[0] : lengths[static_cast<std::size_t>(b)]); ++t) {
      const T* const row = x.row(t * shape[1] + b);
      const auto largest = static_cast<double>(simd::max(row, shape[2]));
      require<ValueError>(std::isfinite(largest), "ctc_beam_search: the largest logit of step {} of row {} is {}", t, b,
                          largest);
      double sum = 0;
      for (Index c = 0; c < shape[2]; ++c) sum += std::exp(static_cast<double>(row[c]) - largest);
      for (Index c = 0; c < shape[2]; ++c)
        log_p[static_cast<std::size_t>(c)] = static_cast<double>(row[c]) - largest - std::log(sum);
      beam.step(log_p);
    }
    all.push_back(beam.best());
  }
  return all;
}

template Labels ctc_greedy(const Var<float>&, std::span<const Index>, std::int32_t);
template Labels ctc_greedy(const Var<double>&, std::span<const Index>, std::int32_t);
template std::vector<std::vector<Transcript>> ctc_beam_search(const Var<float>&, std::span<const Index>,
                                                              const CtcBeamOptions&, PrefixModel*);
template std::vector<std::vector<Transcript>> ctc_beam_search(const Var<double>&, std::span<const Index>,
                                                              const CtcBeamOptions&, PrefixModel*);

}  // namespace unroll::inline UNROLL_ISA
