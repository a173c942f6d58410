#include <unroll/layers/decoding/beams.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <unroll/layers/decoding/log_partition.h>

namespace unroll::inline UNROLL_ISA::detail {
namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

template <Real T>
Beams<T>::Beams(std::span<const std::int32_t> first, const BeamOptions& options)
    : options_(options),
      lengths_(options.source_lengths.begin(), options.source_lengths.end()),
      count_(static_cast<Index>(first.size())),
      width_(options.width),
      live_(count_) {
  const BeamOptions& o = options;
  require<ValueError>(o.width > 0, "beam_search: a width of {}", o.width);
  require<ValueError>(o.steps > 0, "beam_search: {} steps", o.steps);
  require<ValueError>(o.min_steps >= 0 && o.min_steps <= o.steps, "beam_search: at least {} steps of at most {}",
                      o.min_steps, o.steps);
  require<ValueError>(o.best > 0 && o.best <= o.width, "beam_search: the {} best of a beam of {}", o.best, o.width);
  require<ValueError>(o.length_penalty >= 0 && std::isfinite(o.length_penalty),
                      "beam_search: the length penalty {} is negative", o.length_penalty);
  require<ValueError>(o.coverage_penalty >= 0 && std::isfinite(o.coverage_penalty),
                      "beam_search: the coverage penalty {} is negative", o.coverage_penalty);
  require<ShapeError>(lengths_.empty() || static_cast<Index>(lengths_.size()) == count_,
                      "beam_search: {} source lengths for {} sources", lengths_.size(), count_);
  options_.source_lengths = {};  // kept in lengths_
  wanted_ = at(o.end < 0 ? width_ : 2 * width_);
  sources_.resize(first.size());
  for (Index b = 0; b < count_; ++b) {
    tokens_.insert(tokens_.end(), at(width_), first[at(b)]);
    parents_.insert(parents_.end(), at(width_), b);
  }
  log_probabilities_.assign(tokens_.size(), 0);
}

template <Real T>
void Beams<T>::advance(View<const T> logits, View<const T> attention) {
  check(logits.cols, attention);
  token_history_.push_back(tokens_);
  parent_history_.push_back(parents_);
  if (attention.data != nullptr) keep_attention(attention);
  for (Index b = 0; b < count_; ++b) {
    if (sources_[at(b)].open == 0) {
      for (Index row = b * width_; row < (b + 1) * width_; ++row) parents_[at(row)] = row;
      continue;
    }
    gather_candidates(b, logits);
    choose(b, attention);
    if (sources_[at(b)].open == 0) --live_;
  }
  if (options_.coverage_penalty > 0) carry_coverage(attention);
  ++step_;
}

template <Real T>
void Beams<T>::check(Index vocabulary, View<const T> attention) const {
  require<ValueError>(width_ <= vocabulary, "beam_search: a beam of {} is wider than the vocabulary of {}", width_,
                      vocabulary);
  require<ValueError>(options_.end < vocabulary, "beam_search: the end symbol {} is outside a vocabulary of {}",
                      options_.end, vocabulary);
  require<ValueError>(options_.coverage_penalty == 0 || attention.data != nullptr,
                      "beam_search: the coverage penalty needs attention weights, and step {} gave none", step_);
  require<ShapeError>(attention_history_.size() == at(attention.data == nullptr ? 0 : step_) &&
                          (step_ == 0 || attention.cols == source_width_),
                      "beam_search: attention to {} positions at step {}, and to {} before", attention.cols, step_,
                      source_width_);
  if (options_.coverage_penalty == 0) return;
  for (const Index n : lengths_)
    require<ShapeError>(n >= 0 && n <= attention.cols, "beam_search: a source of length {} with {} attention weights",
                        n, attention.cols);
  for (Index b = 0; b < count_; ++b)
    for (Index k = 0; k < sources_[at(b)].open; ++k)
      for (Index i = 0; i < (lengths_.empty() ? attention.cols : lengths_[at(b)]); ++i) {
        const T weight = attention.row(b * width_ + k)[i];
        require<ValueError>(weight >= 0 && std::isfinite(weight),
                            "beam_search: attention weight {} of row {} at step {} is {}", i, b * width_ + k, step_,
                            weight);
      }
}

template <Real T>
void Beams<T>::keep_attention(View<const T> attention) {
  if (step_ == 0) {
    source_width_ = attention.cols;
    if (options_.coverage_penalty > 0) coverage_.assign(at(count_ * width_ * source_width_), 0);
  }
  std::vector<T>& kept = attention_history_.emplace_back();
  kept.reserve(at(attention.size()));
  for (Index r = 0; r < attention.rows; ++r)
    kept.insert(kept.end(), attention.row(r), attention.row(r) + attention.cols);
}

template <Real T>
void Beams<T>::carry_coverage(View<const T> attention) {
  const std::vector<double> before = coverage_;
  for (Index row = 0; row < count_ * width_; ++row) {
    const Index parent = parents_[at(row)];
    for (Index i = 0; i < source_width_; ++i)
      coverage_[at(row * source_width_ + i)] =
          before[at(parent * source_width_ + i)] + static_cast<double>(attention.row(parent)[i]);
  }
}

/// The `wanted_` best continuations of a source's open beams, best first.
template <Real T>
void Beams<T>::gather_candidates(Index source, View<const T> logits) {
  candidates_.clear();
  candidates_.reserve(wanted_ + 1);
  largest_.resize(at(logits_blocks(logits.cols)));
  for (Index k = 0; k < sources_[at(source)].open; ++k) {
    const Index row = source * width_ + k;
    scan_row(row, {logits.row(row), at(logits.cols)}, log_probabilities_[at(row)]);
  }
}

template <Real T>
void Beams<T>::scan_row(Index row, std::span<const T> logits, double base) {
  const std::int32_t forbidden = step_ < options_.min_steps ? options_.end : -1;
  const double normaliser =
      log_partition(logits, {.op = "beam_search", .row = row, .step = step_, .forbidden = forbidden}, largest_.data());
  const auto total = [&](T x) { return base + std::min(0.0, static_cast<double>(x) - normaliser); };
  double least =
      candidates_.size() == wanted_ ? candidates_.back().log_probability : -std::numeric_limits<double>::infinity();
  const auto n = static_cast<Index>(logits.size());
  for (Index first = 0, block = 0; first < n; first += logits_block, ++block) {
    if (!(total(largest_[at(block)]) > least)) continue;
    for (Index i = first; i < std::min(n, first + logits_block); ++i) {
      const double p = total(logits[at(i)]);
      if (!(p > least) || i == forbidden) continue;
      const auto place = std::upper_bound(candidates_.begin(), candidates_.end(), p,
                                          [](double a, const Candidate& c) { return a > c.log_probability; });
      candidates_.insert(place, {p, row, static_cast<std::int32_t>(i)});
      if (candidates_.size() > wanted_) candidates_.pop_back();
      if (candidates_.size() == wanted_) least = candidates_.back().log_probability;
    }
  }
}

/// Puts ended candidates aside, and makes the others the source's open beams.
template <Real T>
void Beams<T>::choose(Index source, View<const T> attention) {
  Source& s = sources_[at(source)];
  const Index before = source * width_;
  const bool last_step = step_ + 1 == options_.steps;
  Index open = 0;
  for (std::size_t rank = 0; rank < candidates_.size(); ++rank) {
    const Candidate& c = candidates_[rank];
    if (c.token == options_.end) {
      if (rank < at(width_)) finish(source, c, true, attention);
    } else if (open < width_) {
      if (last_step) finish(source, c, false, attention);
      const std::size_t row = at(before + open++);
      tokens_[row] = c.token;
      parents_[row] = c.row;
      log_probabilities_[row] = c.log_probability;
    }
  }
  if (open == 0)
    for (Index row = before; row < before + width_; ++row) parents_[at(row)] = row;
  for (Index k = open; open > 0 && k < width_; ++k) {  // rows that are stepped, and not looked at
    tokens_[at(before + k)] = tokens_[at(before)];
    parents_[at(before + k)] = parents_[at(before)];
  }
  s.open = open > 0 && can_improve(s, before) ? open : 0;
}

template <Real T>
void Beams<T>::finish(Index source, const Candidate& c, bool ended, View<const T> attention) {
  const double score = c.log_probability / length_penalty(step_ + 1) + coverage(source, c.row, attention);
  const Finished found{score, c.log_probability, step_ + 1, c.row, ended ? -1 : c.token};
  std::vector<Finished>& finished = sources_[at(source)].finished;
  const auto place = std::upper_bound(finished.begin(), finished.end(), found, [](const auto& a, const auto& b) {
    return a.score != b.score ? a.score > b.score : a.log_probability > b.log_probability;
  });
  finished.insert(place, found);
  if (static_cast<Index>(finished.size()) > options_.best) finished.pop_back();
}

/// Whether the best open beam of a source, in row `row`, may still lead to one of the hypotheses that are wanted.
template <Real T>
bool Beams<T>::can_improve(const Source& s, Index row) const {
  if (static_cast<Index>(s.finished.size()) < options_.best) return true;
  const double log_probability = log_probabilities_[at(row)];
  const double bound = log_probability / length_penalty(options_.steps);
  const Finished& last = s.finished.back();
  return bound > last.score || (bound == last.score && log_probability > last.log_probability);
}

template <Real T>
double Beams<T>::length_penalty(Index steps) const {
  return std::pow((5 + static_cast<double>(steps)) / 6, options_.length_penalty);
}

template <Real T>
double Beams<T>::coverage(Index source, Index row, View<const T> attention) const {
  if (options_.coverage_penalty == 0) return 0;
  double sum = 0;
  for (Index i = 0; i < (lengths_.empty() ? source_width_ : lengths_[at(source)]); ++i)
    sum += std::log(std::min(1.0, coverage_[at(row * source_width_ + i)] + static_cast<double>(attention.row(row)[i])));
  return options_.coverage_penalty * sum;
}

template <Real T>
std::vector<std::vector<Hypothesis>> Beams<T>::result() const {
  std::vector<std::vector<Hypothesis>> result(sources_.size());
  for (std::size_t b = 0; b < sources_.size(); ++b)
    for (const Finished& f : sources_[b].finished) result[b].push_back(trace(f));
  return result;
}

template <Real T>
Hypothesis Beams<T>::trace(const Finished& f) const {
  Hypothesis h;
  h.log_probability = f.log_probability;
  h.score = f.score;
  h.ended = f.last < 0;
  if (!h.ended) h.tokens.push_back(f.last);
  if (!attention_history_.empty()) h.attention = make_tensor<double>({f.steps, source_width_});
  Index row = f.row;
  for (Index t = f.steps - 1; t >= 0; --t) {
    if (!attention_history_.empty())
      std::copy_n(attention_history_[at(t)].data() + row * source_width_, source_width_,
                  h.attention.data() + t * source_width_);
    if (t > 0) h.tokens.push_back(token_history_[at(t)][at(row)]);
    row = parent_history_[at(t)][at(row)];
  }
  std::ranges::reverse(h.tokens);
  return h;
}

template class Beams<float>;
template class Beams<double>;

}  // namespace unroll::inline UNROLL_ISA::detail
