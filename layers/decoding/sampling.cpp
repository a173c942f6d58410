#include <unroll/layers/decoding/sampling.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include <unroll/layers/decoding/log_partition.h>

namespace unroll::inline UNROLL_ISA {
namespace {

/// Symbols from the likeliest on: the first k, or all if k is 0. Those that are forbidden are left out.
template <Real T>
std::vector<std::int32_t> likeliest(std::span<const T> logits, Index k) {
  std::vector<std::int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::erase_if(order, [&](std::int32_t i) {
    return logits[static_cast<std::size_t>(i)] == -std::numeric_limits<T>::infinity();
  });
  const auto likelier = [&](std::int32_t a, std::int32_t b) {
    const T x = logits[static_cast<std::size_t>(a)], y = logits[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  };
  if (k > 0 && k < static_cast<Index>(order.size())) {
    std::partial_sort(order.begin(), order.begin() + k, order.end(), likelier);
    order.resize(static_cast<std::size_t>(k));
  } else {
    std::sort(order.begin(), order.end(), likelier);
  }
  return order;
}

}  // namespace

void check_sampling(const SamplingOptions& o) {
  require<ValueError>(o.temperature >= 0 && std::isfinite(o.temperature),
                      "sampling: temperature {} is not a number from 0 on", o.temperature);
  require<ValueError>(o.top_k >= 0, "sampling: top-k {} is negative", o.top_k);
  require<ValueError>(o.top_p > 0 && o.top_p <= 1, "sampling: top-p {} is not in 0 < p <= 1", o.top_p);
}

template <Real T>
std::int32_t detail::draw_at(std::span<const T> logits, const SamplingOptions& o, double u) {
  if (o.temperature == 0) return static_cast<std::int32_t>(std::ranges::max_element(logits) - logits.begin());
  const std::vector<std::int32_t> order = likeliest(logits, o.top_k);
  const T largest = logits[static_cast<std::size_t>(order[0])];
  std::vector<double> weights;
  weights.reserve(order.size());
  double total = 0;
  for (const std::int32_t i : order) {
    weights.push_back(std::exp(static_cast<double>(logits[static_cast<std::size_t>(i)] - largest) / o.temperature));
    total += weights.back();
  }
  double kept = 0;
  std::size_t count = 0;
  while (count < weights.size() && (count == 0 || kept < o.top_p * total)) kept += weights[count++];
  double at = u * kept;
  for (std::size_t i = 0; i < count; ++i)
    if ((at -= weights[i]) < 0) return order[i];
  return order[count - 1];
}

template <Real T>
std::int32_t draw(std::span<const T> logits, const SamplingOptions& options, Rng& rng) {
  check_sampling(options);
  detail::log_partition(logits, {.op = "draw"});
  return detail::draw_at(logits, options, options.temperature == 0 ? 0 : rng.uniform());
}

template std::int32_t draw(std::span<const float>, const SamplingOptions&, Rng&);
template std::int32_t draw(std::span<const double>, const SamplingOptions&, Rng&);
template std::int32_t detail::draw_at(std::span<const float>, const SamplingOptions&, double);
template std::int32_t detail::draw_at(std::span<const double>, const SamplingOptions&, double);

}  // namespace unroll::inline UNROLL_ISA
