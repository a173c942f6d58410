#include <unroll/layers/sampled_softmax.h>

#include <unroll/autograd/ops/linalg.h>
#include <unroll/autograd/ops/lookup.h>
#include <unroll/layers/place.h>
#include <unroll/layers/target_rows.h>

namespace unroll::inline UNROLL_ISA {
namespace {

constexpr const char* op = "sampled_softmax";

/// log((b + 1) / (a + 1)): the share of classes a .. b - 1, up to a factor.
double share(double a, double b) { return std::log1p((b - a) / (a + 1)); }

}  // namespace

SampledClasses sample_log_uniform(Index classes, Index samples, Rng& rng) {
  require<ValueError>(classes > 0 && samples > 0, "sample_log_uniform: {} classes and {} samples must be positive",
                      classes, samples);
  samples = std::min(samples, classes);
  const auto all = static_cast<double>(classes);
  // The first `sure` classes would each be expected once or more: they are always there.
  Index sure = samples == classes ? classes : 0;
  const auto rate = [&] { return static_cast<double>(samples - sure) / share(static_cast<double>(sure), all); };
  while (sure < samples && rate() * share(static_cast<double>(sure), static_cast<double>(sure + 1)) >= 1) ++sure;
  SampledClasses result;
  for (Index k = 0; k < sure; ++k)
    result.ids.push_back(static_cast<std::int32_t>(k)), result.probabilities.push_back(1);
  if (sure == samples) return result;
  const auto from = static_cast<double>(sure);
  const double per_share = rate(), shift = rng.uniform();
  // The classes lie side by side, each as wide as its probability; one is taken at every whole number from the shift.
  for (Index i = 0; i < samples - sure; ++i) {
    const double place = (static_cast<double>(i) + shift) / per_share;
    const double at = from + std::expm1(place) * (from + 1);
    const Index least = result.ids.empty() ? 0 : result.ids.back() + 1;  // rounding must not take one twice
    const Index k = std::clamp(static_cast<Index>(at), least, classes - (samples - sure - i));
    result.ids.push_back(static_cast<std::int32_t>(k));
    result.probabilities.push_back(per_share * share(static_cast<double>(k), static_cast<double>(k + 1)));
  }
  return result;
}

template <Real T>
SampledSoftmax<T>::SampledSoftmax(Index in, Index classes, Index samples, Rng& rng) : samples(samples) {
  require<ValueError>(in > 0 && classes > 0 && samples > 0,
                      "sampled_softmax: width {}, classes {} and samples {} must be positive", in, classes, samples);
  weight = Parameter<T>(init::uniform<T>({classes, in}, 1 / std::sqrt(static_cast<double>(in)), rng));
  bias = Parameter<T>(make_tensor<T>({classes, 1}, T(0)));
}

template <Real T>
Var<T> SampledSoftmax<T>::loss(Var<T> h, std::span<const std::int32_t> targets, Rng& rng, Reduction reduction) const {
  Tape<T>& tape = h.tape();
  const detail::PlaceGuard<T> place(tape, detail::place_of_layer(*this));
  const Index classes = weight.shape()[0];
  const detail::TargetRows<T> rows(h, targets, weight.shape()[1], classes, -1, op, [](std::int32_t) { return 0; });
  const SampledClasses sample = sample_log_uniform(classes, samples, rng);
  const auto count = static_cast<Index>(sample.ids.size());
  const std::span<T> corrections = tape.template room<T>(count);
  for (std::size_t k = 0; k < corrections.size(); ++k)
    corrections[k] = static_cast<T>(-std::log(sample.probabilities[k]));
  // A sampled class that is the target of a row is there already.
  const std::span<T> others = tape.template room<T>(rows.count * count);
  std::fill(others.begin(), others.end(), T(1));
  for (std::size_t r = 0; r < rows.targets.size(); ++r) {
    const auto hit = std::ranges::lower_bound(sample.ids, rows.targets[r]);
    if (hit != sample.ids.end() && *hit == rows.targets[r])
      others[r * static_cast<std::size_t>(count) + static_cast<std::size_t>(hit - sample.ids.begin())] = T(0);
  }
  const Var<T> bias_of_sample = reshape(lookup(tape, bias, sample.ids, {count}), {count});
  const Var<T> sampled = where(tape.constant(Shape{rows.count, count}, std::span<const T>(others)),
                               matmul(rows.h, lookup(tape, weight, sample.ids, {count}), {.b = true}) +
                                   (bias_of_sample + tape.constant(Shape{count}, std::span<const T>(corrections))),
                               -std::numeric_limits<T>::infinity());
  const Var<T> of_target =
      reshape(sum(rows.h * lookup(tape, weight, rows.targets, {rows.count}), -1), {rows.count, 1}) +
      lookup(tape, bias, rows.targets, {rows.count});
  const std::span<std::int32_t> first = tape.template room<std::int32_t>(rows.count);
  std::fill(first.begin(), first.end(), 0);
  const Var<T> losses =
      cross_entropy(concat(of_target, sampled), std::span<const std::int32_t>(first), {.reduction = Reduction::none});
  return rows.reduce(losses, reduction, op);
}

template <Real T>
Var<T> SampledSoftmax<T>::full_loss(Var<T> h, std::span<const std::int32_t> targets, Reduction reduction) const {
  const detail::PlaceGuard<T> place(h.tape(), detail::place_of_layer(*this));
  const detail::TargetRows<T> rows(h, targets, weight.shape()[1], weight.shape()[0], -1, op,
                                   [](std::int32_t) { return 0; });
  return rows.reduce(cross_entropy(logits(rows.h), rows.targets, {.reduction = Reduction::none}), reduction, op);
}

template <Real T>
Var<T> SampledSoftmax<T>::log_probabilities(Var<T> h) const {
  const detail::PlaceGuard<T> place(h.tape(), detail::place_of_layer(*this));
  return log_softmax(logits(h));
}

template <Real T>
Var<T> SampledSoftmax<T>::logits(Var<T> h) const {
  return matmul(h, weight, {.b = true}) + reshape(h.tape().use(bias), {weight.shape()[0]});
}

template struct SampledSoftmax<float>;
template struct SampledSoftmax<double>;

}  // namespace unroll::inline UNROLL_ISA
