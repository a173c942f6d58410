#include <unroll/layers/ordinal_regression.h>

#include <unroll/layers/place.h>
#include <unroll/layers/target_rows.h>

namespace unroll::inline UNROLL_ISA {
namespace {

constexpr const char* op = "ordinal_regression";

/// 1 for the first of n, else 0.
template <Real T>
Var<T> is_first(Tape<T>& tape, Index n) {
  const std::span<T> mask = tape.template room<T>(n);
  std::fill(mask.begin(), mask.end(), T(0));
  mask[0] = T(1);
  return tape.constant(Shape{n}, std::span<const T>(mask));
}

/// x[rows], as a column; 0 for -1.
template <Real T>
Var<T> elements(Var<T> x, std::span<const Index> rows) {
  const auto count = static_cast<Index>(rows.size());
  return gather_rows(reshape(x, {x.shape().size(), 1}), rows, Shape{count, 1});
}

/// What `rows` are there: 1, or 0 for -1, as a column.
template <Real T>
Var<T> there(Tape<T>& tape, std::span<const Index> rows) {
  const std::span<T> mask = tape.template room<T>(static_cast<Index>(rows.size()));
  for (std::size_t i = 0; i < rows.size(); ++i) mask[i] = rows[i] < 0 ? T(0) : T(1);
  return tape.constant(Shape{static_cast<Index>(rows.size()), 1}, std::span<const T>(mask));
}

}  // namespace

template <Real T>
OrdinalRegression<T>::OrdinalRegression(Index stars) {
  require<ValueError>(stars >= 2, "ordinal_regression: {} stars are fewer than two", stars);
  Tensor<T> initial = make_tensor<T>({stars - 1});
  double before = 0;
  for (Index k = 1; k < stars; ++k) {
    const double share = static_cast<double>(k) / static_cast<double>(stars), threshold = std::log(share / (1 - share));
    initial.data()[k - 1] = static_cast<T>(k == 1 ? threshold : std::log(std::expm1(threshold - before)));
    before = threshold;
  }
  raw = Parameter<T>(std::move(initial));
}

template <Real T>
Var<T> OrdinalRegression<T>::thresholds(Tape<T>& tape) const {
  const Var<T> r = tape.use(raw);
  return cumsum(where(is_first(tape, stars() - 1), r, softplus(r)), 0);
}

// With a = threshold_k - score and b = threshold_(k-1) - score, P(k) = sigmoid(a) - sigmoid(b) is
// sigmoid(a) sigmoid(-b) (1 - e^(b - a)), and 1 - e^(b - a) = sigmoid(raw_k): no difference of near numbers is left.

template <Real T>
Var<T> OrdinalRegression<T>::loss(Var<T> score, std::span<const std::int32_t> given, Reduction reduction) const {
  Tape<T>& tape = score.tape();
  const detail::PlaceGuard<T> place(tape, detail::place_of_layer(*this));
  const Shape shape = tape.checked(score, op).shape;
  tape.template require<ShapeError>(static_cast<Index>(given.size()) == shape.size(), "{}: {} stars for scores {}", op,
                                    given.size(), shape);
  const std::span<std::int32_t> classes = tape.template room<std::int32_t>(shape.size());
  for (std::size_t i = 0; i < given.size(); ++i) {
    tape.template require<IndexError>(given[i] == -1 || (given[i] >= 1 && given[i] <= stars()),
                                      "{}: {} stars of score {} are outside 1 .. {}", op, given[i], i, stars());
    classes[i] = given[i] == -1 ? -1 : given[i] - 1;
  }
  detail::TargetRows<T> rows(reshape(score, {shape.size(), 1}), classes, 1, stars(), -1, op,
                             [](std::int32_t) { return 0; });
  rows.shape = shape;
  const Index last = stars() - 1;
  const std::span<Index> above = tape.template room<Index>(rows.count), below = tape.template room<Index>(rows.count),
                         between = tape.template room<Index>(rows.count);
  for (std::size_t i = 0; i < above.size(); ++i) {
    const Index k = rows.targets[i];
    above[i] = k < last ? k : -1;
    below[i] = k - 1;
    between[i] = k > 0 && k < last ? k : -1;
  }
  const Var<T> t = thresholds(tape), s = rows.h;
  const Var<T> losses = where(there(tape, above), softplus(s - elements<T>(t, above)), 0) +
                        where(there(tape, below), softplus(elements<T>(t, below) - s), 0) +
                        where(there(tape, between), softplus(-elements<T>(tape.use(raw), between)), 0);
  return rows.reduce(reshape(losses, {rows.count}), reduction, op);
}

template <Real T>
Var<T> OrdinalRegression<T>::probabilities(Var<T> score) const {
  Tape<T>& tape = score.tape();
  const detail::PlaceGuard<T> place(tape, detail::place_of_layer(*this));
  const Shape shape = tape.checked(score, op).shape;
  const Index rows = shape.size(), inner = stars() - 1;
  const Var<T> apart = thresholds(tape) - reshape(score, {rows, 1}), one = tape.filled({rows, 1}, T(1));
  const Var<T> between = where(is_first(tape, inner), 1, sigmoid(tape.use(raw)));
  const Var<T> p = concat(sigmoid(apart), one) * concat(one, sigmoid(-apart)) * concat(between, tape.filled({1}, T(1)));
  return reshape(p, shape.inserted(-1, stars()));
}

template <Real T>
std::vector<std::int32_t> OrdinalRegression<T>::predict(Var<T> score) const {
  const View<const T> p = values(probabilities(score));
  std::vector<std::int32_t> result;
  for (Index r = 0; r < p.rows; ++r)
    result.push_back(static_cast<std::int32_t>(std::max_element(p.row(r), p.row(r) + p.cols) - p.row(r)) + 1);
  return result;
}

template struct OrdinalRegression<float>;
template struct OrdinalRegression<double>;

}  // namespace unroll::inline UNROLL_ISA
