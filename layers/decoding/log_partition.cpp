#include <unroll/layers/decoding/log_partition.h>

#include <cmath>
#include <string>

#include <unroll/autograd/tensor/exponential.h>

namespace unroll::inline UNROLL_ISA::detail {
namespace {

std::string where(const LogitsPlace& place) {
  std::string text;
  if (place.row >= 0) text += fmt::format(" of row {}", place.row);
  if (place.step >= 0) text += fmt::format(" at step {}", place.step);
  return text;
}

template <Real T>
[[noreturn, gnu::noinline, gnu::cold]] void complain(std::span<const T> logits, const LogitsPlace& place) {
  for (std::size_t i = 0; i < logits.size(); ++i)
    require<ValueError>(!std::isnan(logits[i]) && !(logits[i] > 0 && std::isinf(logits[i])), "{}: logit {}{} is {}",
                        place.op, i, where(place), logits[i]);
  fail<ValueError>("{}: every symbol{} is forbidden", place.op, where(place));
}

/// The sum of e^(x - largest) over a block.
template <Real T>
T block_sum(const T* x, Index count, T largest) {
  constexpr Index width = lanes<T>;
  const Batch<T> shift(largest);
  Batch<T> partial(T(0));
  Index i = 0;
  for (; i + width <= count; i += width) partial += math::exp(Batch<T>::load_unaligned(x + i) - shift);
  if (i < count) {
    std::array<T, static_cast<std::size_t>(width)> padded;
    padded.fill(-std::numeric_limits<T>::infinity());
    std::copy(x + i, x + count, padded.begin());
    partial += math::exp(Batch<T>::load_unaligned(padded.data()) - shift);
  }
  return simd::total(partial);
}

template <Real T>
bool any_allowed(std::span<const T> logits, const LogitsPlace& place) {
  for (std::size_t i = 0; i < logits.size(); ++i)
    if (static_cast<Index>(i) != place.forbidden && logits[i] > -std::numeric_limits<T>::infinity()) return true;
  return false;
}

}  // namespace

template <Real T>
double log_partition(std::span<const T> logits, const LogitsPlace& place, T* largest) {
  const auto n = static_cast<Index>(logits.size());
  const T* const x = logits.data();
  T peak = -std::numeric_limits<T>::infinity();
  for (Index first = 0, block = 0; first < n; first += logits_block, ++block) {
    const T most = simd::max(x + first, std::min(logits_block, n - first));
    if (largest != nullptr) largest[block] = most;
    peak = most > peak || most != most ? most : peak;
    if (peak != peak) break;
  }
  if (!std::isfinite(peak)) complain(logits, place);
  if (place.forbidden >= 0 && !any_allowed(logits, place)) complain(logits, place);
  double sum = 0;
  for (Index first = 0; first < n; first += logits_block)
    sum += static_cast<double>(block_sum(x + first, std::min(logits_block, n - first), peak));
  return static_cast<double>(peak) + std::log(sum);
}

template double log_partition(std::span<const float>, const LogitsPlace&, float*);
template double log_partition(std::span<const double>, const LogitsPlace&, double*);

}  // namespace unroll::inline UNROLL_ISA::detail
