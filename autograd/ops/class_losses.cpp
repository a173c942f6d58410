#include <unroll/autograd/ops/class_losses.h>

namespace unroll::inline UNROLL_ISA::detail {
namespace {

/// Of a cross entropy c = -log p: (1 - p)^gamma c.
struct Focus {
  static constexpr const char* name = "focus";
  double gamma;
  template <class V>
  V forward(V c) const {
    return gamma == 0 ? c : power(c) * c;
  }
  template <class V>
  V backward(V dy, V c, V) const {
    if (gamma == 0) return dy;
    const V missed = -math::expm1(-c);  // 1 - p
    const V ratio = math::select(missed > V(0), math::divide(c, missed), V(1));
    return dy * power(c) * (V(1) + V(scalar_t<V>(gamma)) * math::exp(-c) * ratio);
  }
  template <class V>
  V power(V c) const {
    const V missed = -math::expm1(-c);
    return math::select(missed > V(0), math::exp(V(scalar_t<V>(gamma)) * math::log(missed)), V(0));
  }
};

/// Focused cross entropy of a logit with a label there (its weight w > 0) or not (w < 0); w = 0: not read.
struct LabelLoss {
  static constexpr const char* name = "label_loss";
  Focus focus;
  template <class V>
  V forward(V x, V w) const {
    const V c = rules::Softplus{}.forward(math::select(w > V(0), -x, x));
    return math::select(w == V(0), V(0), math::abs(w) * focus.forward(c));
  }
  template <class V>
  std::array<V, 2> backward(V dy, V x, V w, V) const {
    const V against = math::select(w > V(0), -x, x), c = rules::Softplus{}.forward(against);
    const V d = focus.backward(dy * w, c, c) * math::sigmoid(against);
    return {math::select(w == V(0), V(0), -d), V(0)};
  }
};

template <Real T>
Var<T> reduce(Var<T> each, Index count, Reduction reduction, const char* op) {
  if (reduction == Reduction::none) return each;
  if (reduction == Reduction::sum) return unroll::sum(each);
  each.tape().template require<ValueError>(count > 0, "{}: every row is padding", op);
  return unroll::sum(each) * (1.0 / static_cast<double>(count));
}

/// The weights of labels there, one for each or for all, and of those that are not.
struct LabelWeights {
  std::span<const double> present;
  double absent;
};

template <Real T>
void check_labels(const Tape<T>& tape, const Shape& shape, std::size_t labels, std::span<const Index> lengths,
                  const LabelWeights& weights, const char* op) {
  tape.template require<ShapeError>(shape.rank() >= 1 && static_cast<Index>(labels) == shape.size(),
                                    "{}: {} labels for logits {}", op, labels, shape);
  tape.template require<ShapeError>(
      lengths.empty() || (shape.rank() == 3 && shape[1] == static_cast<Index>(lengths.size())),
      "{}: {} lengths for logits {}", op, lengths.size(), shape);
  for (const Index n : lengths)
    tape.template require<ShapeError>(n >= 0 && n <= shape[0], "{}: length {} for logits {}", op, n, shape);
  tape.template require<ShapeError>(
      weights.present.size() == 1 || static_cast<Index>(weights.present.size()) == shape.cols(),
      "{}: {} weights for {} labels", op, weights.present.size(), shape.cols());
  for (const double w : weights.present)
    tape.template require<ValueError>(w >= 0 && std::isfinite(w), "{}: the weight {} is negative or not finite", op, w);
}

template <Real T>
Var<T> label_loss(Var<T> logits, std::span<const std::uint8_t> labels, std::span<const Index> lengths, double gamma,
                  const LabelWeights& weights, Reduction reduction, const char* op) {
  Tape<T>& tape = logits.tape();
  const Shape shape = tape.checked(logits, op).shape;
  check_labels(tape, shape, labels.size(), lengths, weights, op);
  const Index batch = lengths.empty() ? 1 : shape[1], cols = shape.cols();
  const std::span<T> signed_weights = tape.template room<T>(shape.size());
  std::fill(signed_weights.begin(), signed_weights.end(), T(0));
  Index count = 0;
  for (Index r = 0; r < shape.rows(); ++r) {
    if (!lengths.empty() && r / batch >= lengths[static_cast<std::size_t>(r % batch)]) continue;
    ++count;
    for (Index j = 0; j < cols; ++j) {
      const auto at = static_cast<std::size_t>(r * cols + j);
      tape.template require<ValueError>(labels[at] <= 1, "{}: label {} of row {} is {}, not 0 or 1", op, j, r,
                                        int{labels[at]});
      const double present = weights.present[weights.present.size() == 1 ? 0 : static_cast<std::size_t>(j)];
      signed_weights[at] = static_cast<T>(labels[at] == 1 ? present : -weights.absent);
    }
  }
  const Var<T> each = apply(LabelLoss{{gamma}}, logits, tape.constant(shape, std::span<const T>(signed_weights)));
  return reduce<T>(unroll::sum(each, -1), count, reduction, op);
}

}  // namespace

template <Real T>
Var<T> multi_label_cross_entropy(Var<T> logits, std::span<const std::uint8_t> labels, std::span<const Index> lengths,
                                 const MultiLabelOptions& options) {
  static constexpr double one = 1;
  const LabelWeights weights{options.positive_weights.empty() ? std::span(&one, 1) : options.positive_weights, 1};
  return label_loss(logits, labels, lengths, 0, weights, options.reduction, "multi_label_cross_entropy");
}

template <Real T>
Var<T> binary_focal(Var<T> logits, std::span<const std::uint8_t> labels, std::span<const Index> lengths,
                    const BinaryFocalOptions& options) {
  const double alpha = options.alpha;
  logits.tape().template require<ValueError>(options.gamma >= 0 && std::isfinite(options.gamma),
                                             "binary_focal: gamma {} is negative or not finite", options.gamma);
  logits.tape().template require<ValueError>(alpha >= 0 && alpha <= 1, "binary_focal: alpha {} is not in 0 .. 1",
                                             alpha);
  const LabelWeights weights{std::span(&alpha, 1), 1 - alpha};
  return label_loss(logits, labels, lengths, options.gamma, weights, options.reduction, "binary_focal");
}

template <Real T>
Var<T> focal(Var<T> logits, std::span<const std::int32_t> targets, const FocalOptions& options) {
  Tape<T>& tape = logits.tape();
  const Shape shape = tape.checked(logits, "focal").shape;
  const auto& alpha = options.alpha;
  tape.template require<ValueError>(options.gamma >= 0 && std::isfinite(options.gamma),
                                    "focal: gamma {} is negative or not finite", options.gamma);
  tape.template require<ShapeError>(
      alpha.empty() || (shape.rank() >= 1 && static_cast<Index>(alpha.size()) == shape.cols()),
      "focal: {} alphas for logits {}", alpha.size(), shape);
  for (const double a : alpha)
    tape.template require<ValueError>(a >= 0 && std::isfinite(a), "focal: alpha {} is negative or not finite", a);
  const Var<T> each = cross_entropy(logits, targets, {.ignore = options.ignore, .reduction = Reduction::none});
  const Var<T> focused = apply(Focus{options.gamma}, each);
  const auto count = std::ranges::count_if(targets, [&](std::int32_t t) { return t != options.ignore; });
  if (alpha.empty()) return reduce<T>(focused, count, options.reduction, "focal");
  const std::span<T> weights = tape.template room<T>(static_cast<Index>(targets.size()));
  for (std::size_t r = 0; r < targets.size(); ++r)
    weights[r] = targets[r] == options.ignore ? T(0) : static_cast<T>(alpha[static_cast<std::size_t>(targets[r])]);
  const Var<T> weighted = focused * tape.constant(focused.shape(), std::span<const T>(weights));
  return reduce<T>(weighted, count, options.reduction, "focal");
}

template <Real T>
Var<T> sequence_cross_entropy(Var<T> logits, std::span<const std::int32_t> targets, std::span<const Index> lengths,
                              const CrossEntropyOptions& options) {
  Tape<T>& tape = logits.tape();
  const Shape shape = tape.checked(logits, "sequence_cross_entropy").shape;
  tape.template require<ShapeError>(shape.rank() == 3,
                                    "sequence_cross_entropy: logits [time, batch, classes] are needed, not {}", shape);
  tape.template require<ShapeError>(static_cast<Index>(targets.size()) == shape.rows(),
                                    "sequence_cross_entropy: {} targets for logits {}", targets.size(), shape);
  tape.template require<ShapeError>(lengths.empty() || static_cast<Index>(lengths.size()) == shape[1],
                                    "sequence_cross_entropy: {} lengths for logits {}", lengths.size(), shape);
  for (const Index n : lengths)
    tape.template require<ShapeError>(n >= 0 && n <= shape[0], "sequence_cross_entropy: length {} for logits {}", n,
                                      shape);
  const auto batch = static_cast<std::size_t>(shape[1]);
  const std::span<std::int32_t> counted = tape.template room<std::int32_t>(static_cast<Index>(targets.size()));
  for (std::size_t i = 0; i < targets.size(); ++i)
    counted[i] = lengths.empty() || static_cast<Index>(i / batch) < lengths[i % batch] ? targets[i] : options.ignore;
  CrossEntropyOptions each = options;
  each.reduction = Reduction::none;
  const Var<T> losses = cross_entropy(logits, std::span<const std::int32_t>(counted), each);
  const std::span<T> shares = tape.template room<T>(shape[1]);
  std::fill(shares.begin(), shares.end(), T(0));
  for (std::size_t i = 0; i < counted.size(); ++i)
    if (counted[i] != options.ignore)
      shares[i % batch] +=
          options.weights.empty() ? T(1) : static_cast<T>(options.weights[static_cast<std::size_t>(counted[i])]);
  const auto sequences = static_cast<T>(std::ranges::count_if(shares, [](T mass) { return mass > 0; }));
  tape.template require<ValueError>(sequences > 0, "sequence_cross_entropy: there is no target to average over");
  for (T& s : shares) s = s > 0 ? 1 / (sequences * s) : T(0);
  return unroll::sum(losses * tape.constant(Shape{shape[1]}, std::span<const T>(shares)));
}

#define UNROLL_INSTANTIATE(T)                                                                              \
  template Var<T> multi_label_cross_entropy(Var<T>, std::span<const std::uint8_t>, std::span<const Index>, \
                                            const MultiLabelOptions&);                                     \
  template Var<T> binary_focal(Var<T>, std::span<const std::uint8_t>, std::span<const Index>,              \
                               const BinaryFocalOptions&);                                                 \
  template Var<T> focal(Var<T>, std::span<const std::int32_t>, const FocalOptions&);                       \
  template Var<T> sequence_cross_entropy(Var<T>, std::span<const std::int32_t>, std::span<const Index>,    \
                                         const CrossEntropyOptions&);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)

}  // namespace unroll::inline UNROLL_ISA::detail
