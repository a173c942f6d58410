#include <unroll/layers/adaptive_softmax.h>

#include <fmt/format.h>

#include <unroll/autograd/ops/linalg.h>
#include <unroll/layers/place.h>
#include <unroll/layers/target_rows.h>

namespace unroll::inline UNROLL_ISA {
namespace {

double limit(Index in) { return 1 / std::sqrt(static_cast<double>(std::max<Index>(1, in))); }

template <Real T>
Parameter<T> matrix(Index in, Index out, Rng& rng) {
  return Parameter<T>(init::uniform<T>({in, out}, limit(in), rng));
}

/// Cross entropy of each row of h weight + bias.
template <Real T>
Var<T> each_loss(Var<T> h, const Parameter<T>& weight, const std::optional<Parameter<T>>& bias,
                 std::span<const std::int32_t> targets) {
  Tape<T>& tape = h.tape();
  return linear_cross_entropy(h, weight, bias ? tape.use(*bias) : tape.zeros({weight.shape()[1]}), targets,
                              {.reduction = Reduction::none});
}

}  // namespace

template <Real T>
AdaptiveSoftmax<T>::AdaptiveSoftmax(Index in, Index classes, std::vector<Index> given, Rng& rng, const Options& options)
    : cutoffs(std::move(given)) {
  require<ValueError>(in > 0, "adaptive_softmax: the width {} is not positive", in);
  require<ValueError>(options.division >= 1, "adaptive_softmax: the division {} is below 1", options.division);
  require<ValueError>(!cutoffs.empty(), "adaptive_softmax: there is no cutoff");
  cutoffs.push_back(classes);
  Index last = 0;
  for (const Index c : cutoffs) {
    require<ValueError>(c > last, "adaptive_softmax: the cutoffs {} do not increase from above 0 to below {} classes",
                        fmt::join(cutoffs.begin(), cutoffs.end() - 1, ", "), classes);
    last = c;
  }
  const auto count = static_cast<Index>(cutoffs.size()) - 1;
  head = matrix<T>(in, cutoffs[0] + count, rng);
  if (options.head_bias) head_bias.emplace(init::uniform<T>({cutoffs[0] + count}, limit(in), rng));
  double width = static_cast<double>(in);
  for (std::size_t i = 0; i + 1 < cutoffs.size(); ++i) {
    width /= options.division;
    const Index narrow = std::max<Index>(1, static_cast<Index>(width));
    clusters.push_back({matrix<T>(in, narrow, rng), matrix<T>(narrow, cutoffs[i + 1] - cutoffs[i], rng)});
  }
}

template <Real T>
Var<T> AdaptiveSoftmax<T>::loss(Var<T> h, std::span<const std::int32_t> targets, Reduction reduction) const {
  constexpr const char* op = "adaptive_softmax";
  Tape<T>& tape = h.tape();
  const detail::PlaceGuard<T> place(tape, detail::place_of_layer(*this));
  const auto cluster_of = [&](std::int32_t c) {  // 0: the head
    return std::ranges::upper_bound(cutoffs, static_cast<Index>(c)) - cutoffs.begin();
  };
  const detail::TargetRows<T> rows(h, targets, head.shape()[0], cutoffs.back(), -1, op, cluster_of);
  const std::span<std::int32_t> in_head = tape.template room<std::int32_t>(rows.count);
  const std::span<std::int32_t> in_cluster = tape.template room<std::int32_t>(rows.count);
  std::vector<Index> starts(cutoffs.size() + 1, rows.count);
  for (std::size_t i = in_head.size(); i-- > 0;) {
    const auto k = static_cast<std::size_t>(cluster_of(rows.targets[i]));
    in_head[i] = k == 0 ? rows.targets[i] : static_cast<std::int32_t>(cutoffs[0] + static_cast<Index>(k) - 1);
    in_cluster[i] = k == 0 ? 0 : rows.targets[i] - static_cast<std::int32_t>(cutoffs[k - 1]);
    std::fill_n(starts.begin(), k + 1, static_cast<Index>(i));
  }
  Var<T> losses = each_loss<T>(rows.h, head, head_bias, in_head);
  std::vector<Var<T>> parts;
  if (starts[1] > 0) parts.push_back(tape.zeros({starts[1]}));
  for (std::size_t k = 0; k < clusters.size(); ++k) {
    const Index first = starts[k + 1], last = starts[k + 2];
    if (first == last) continue;
    const Var<T> narrow = matmul(slice(rows.h, 0, first, last), clusters[k].down);
    parts.push_back(
        each_loss<T>(narrow, clusters[k].up, std::nullopt,
                     in_cluster.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(last - first))));
  }
  if (!parts.empty()) losses = losses + concat(std::span<const Var<T>>(parts));
  return rows.reduce(losses, reduction, op);
}

template <Real T>
Var<T> AdaptiveSoftmax<T>::log_probabilities(Var<T> h) const {
  Tape<T>& tape = h.tape();
  const detail::PlaceGuard<T> place(tape, detail::place_of_layer(*this));
  const Shape shape = tape.checked(h, "adaptive_softmax").shape;
  tape.template require<ShapeError>(shape.rank() >= 1 && shape.cols() == head.shape()[0],
                                    "adaptive_softmax: rows [..., {}] are needed, not {}", head.shape()[0], shape);
  const Var<T> of_head = log_softmax(head_bias ? affine(h, head, *head_bias) : matmul(h, head));
  std::vector<Var<T>> parts{slice(of_head, -1, 0, cutoffs[0])};
  for (std::size_t k = 0; k < clusters.size(); ++k) {
    const Index entry = cutoffs[0] + static_cast<Index>(k);
    parts.push_back(log_softmax(matmul(matmul(h, clusters[k].down), clusters[k].up)) +
                    slice(of_head, -1, entry, entry + 1));
  }
  return concat(std::span<const Var<T>>(parts));
}

template struct AdaptiveSoftmax<float>;
template struct AdaptiveSoftmax<double>;

}  // namespace unroll::inline UNROLL_ISA
