#include <unroll/layers/decoding/generate.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include <unroll/layers/decoding/log_partition.h>

namespace unroll::inline UNROLL_ISA::detail {

template <Real T>
Generation<T>::Generation(const char* op, std::span<const std::int32_t> first, const GenerateOptions& options,
                          const SamplingOptions& sampling, Rng* rng)
    : op_(op),
      options_(options),
      sampling_(sampling),
      rng_(rng),
      open_(first.size()),
      rows_(first.size()),
      tokens_(first.begin(), first.end()),
      found_(first.size()),
      attention_(first.size()) {
  check_sampling(sampling);
  require<ValueError>(options.steps > 0, "{}: {} steps", op, options.steps);
  require<ValueError>(options.min_steps >= 0 && options.min_steps <= options.steps,
                      "{}: at least {} steps of at most {}", op, options.min_steps, options.steps);
  std::iota(rows_.begin(), rows_.end(), 0);
}

template <Real T>
void Generation<T>::advance(View<const T> logits, View<const T> attention) {
  require<ValueError>(options_.end < logits.cols, "{}: the end symbol {} is outside a vocabulary of {}", op_,
                      options_.end, logits.cols);
  const std::uint64_t position = rng_ == nullptr ? 0 : rng_->advance(found_.size());
  for (std::size_t row = 0; row < found_.size(); ++row) {
    if (found_[row].ended) continue;
    const auto r = static_cast<Index>(row);
    if (attention.data != nullptr)
      attention_[row].insert(attention_[row].end(), attention.row(r), attention.row(r) + attention.cols);
    choose(row, {logits.row(r), static_cast<std::size_t>(logits.cols)},
           rng_ == nullptr ? 0 : Rng::uniform(rng_->seed(), position + row));
  }
  ++step_;
}

template <Real T>
void Generation<T>::choose(std::size_t row, std::span<const T> logits, double u) {
  const std::int32_t forbidden = step_ < options_.min_steps ? options_.end : -1;
  const double normaliser =
      log_partition(logits, {.op = op_, .row = static_cast<Index>(row), .step = step_, .forbidden = forbidden});
  std::span<const T> allowed = logits;
  if (forbidden >= 0) {
    masked_.assign(logits.begin(), logits.end());
    masked_[static_cast<std::size_t>(forbidden)] = -std::numeric_limits<T>::infinity();
    allowed = masked_;
  }
  const std::int32_t token = draw_at(allowed, sampling_, u);
  Hypothesis& h = found_[row];
  h.log_probability += static_cast<double>(logits[static_cast<std::size_t>(token)]) - normaliser;
  if (token == options_.end) {
    h.ended = true;
    --open_;
    return;
  }
  h.tokens.push_back(token);
  tokens_[row] = token;
}

template <Real T>
std::vector<Hypothesis> Generation<T>::result() {
  for (std::size_t row = 0; row < found_.size(); ++row) {
    Hypothesis& h = found_[row];
    h.score = h.log_probability;
    const auto steps = static_cast<Index>(h.tokens.size() + (h.ended ? 1 : 0));
    const std::vector<double>& weights = attention_[row];
    if (weights.empty()) continue;
    h.attention = make_tensor<double>({steps, static_cast<Index>(weights.size()) / steps});
    std::copy(weights.begin(), weights.end(), h.attention.begin());
  }
  return std::move(found_);
}

template class Generation<float>;
template class Generation<double>;

}  // namespace unroll::inline UNROLL_ISA::detail
