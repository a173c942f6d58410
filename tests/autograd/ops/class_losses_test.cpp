#include <autograd/ops/reference.h>

using namespace unroll;
using namespace unroll::testing;

namespace {

constexpr Index time_steps = 4, batch = 3, width = 5, rows = time_steps * batch;
const std::vector<Index> lengths{4, 1, 2};
const std::vector<double> weights{0.5, 1, 2, 0.25, 1.5};

bool valid(Index row) { return row / batch < lengths[static_cast<std::size_t>(row % batch)]; }

/// Labels of a roll, with what must not be read in the padding.
std::vector<std::uint8_t> roll(bool ragged) {
  std::vector<std::uint8_t> labels;
  for (Index i = 0; i < rows * width; ++i)
    labels.push_back(ragged && !valid(i / width) ? 77 : static_cast<std::uint8_t>(i * i % 7 % 2));
  return labels;
}
/// Classes, -1 at the padding.
std::vector<std::int32_t> classes() {
  std::vector<std::int32_t> ids;
  for (Index r = 0; r < rows; ++r) ids.push_back(valid(r) ? static_cast<std::int32_t>(r * r % width) : -1);
  return ids;
}
const std::vector<std::uint8_t> full_roll = roll(false), ragged_roll = roll(true);
const std::vector<std::int32_t> ids = classes();

/// -weight (1 - p)^gamma log p
double focal_of(double p, double gamma, double weight) { return -weight * std::pow(1 - p, gamma) * std::log(p); }

/// The losses of labels by their definition, summed over each row; 0 for padding.
Array label_losses(const Array& x, bool ragged, double gamma, auto present, double absent) {
  Array y = make_tensor<double>({time_steps, batch}, 0.0);
  for (Index r = 0; r < rows; ++r)
    for (Index j = 0; j < width; ++j) {
      if (ragged && !valid(r)) continue;
      const double p = 1 / (1 + std::exp(-x.data()[r * width + j]));
      const bool there = full_roll[static_cast<std::size_t>(r * width + j)] == 1;
      y.data()[r] += focal_of(there ? p : 1 - p, gamma, there ? present(static_cast<std::size_t>(j)) : absent);
    }
  return y;
}
/// softmax(x) at the class of a row.
double probability(const Array& x, Index row) {
  double total = 0;
  for (Index c = 0; c < width; ++c) total += std::exp(x.data()[row * width + c]);
  return std::exp(x.data()[row * width + ids[static_cast<std::size_t>(row)]]) / total;
}
Array reduced(const Array& each, Reduction reduction, double count) {
  if (reduction == Reduction::none) return each;
  double total = 0;
  for (const double x : each) total += x;
  return Array(reduction == Reduction::sum ? total : total / count);
}

// Up to 60 losses below 2 or so are summed, each with a few units of rounding; a gradient is a share below 1 or so
// times weights up to 2.
RowOptions options() { return {.forward = {.absolute = 2048}, .backward = {.absolute = 256}}; }

constexpr Reduction reductions[] = {Reduction::mean, Reduction::sum, Reduction::none};
const char* name_of(Reduction r) { return r == Reduction::mean ? "mean" : r == Reduction::sum ? "sum" : "none"; }

void add_label_rows(std::vector<Row>& list) {
  const Shape shape{time_steps, batch, width};
  for (const Reduction reduction : reductions)
    for (const bool ragged : {false, true}) {
      const std::vector<std::uint8_t>& labels = ragged ? ragged_roll : full_roll;
      const std::span<const Index> given = ragged ? std::span(lengths) : std::span<const Index>();
      const double count = ragged ? 7 : rows;
      const std::string variant = fmt::format("{}{}", name_of(reduction), ragged ? ", ragged" : "");
      list.push_back(row(
          "multi_label_cross_entropy", variant, {shape},
          [&labels, given, reduction](auto x) {
            return multi_label_cross_entropy(x[0], labels, given, {.reduction = reduction});
          },
          [=](const Arrays& x) {
            return reduced(label_losses(
                               x[0], ragged, 0, [](std::size_t) { return 1.0; }, 1),
                           reduction, count);
          },
          options()));
      list.push_back(row(
          "multi_label_cross_entropy", variant + ", weights", {shape},
          [&labels, given, reduction](auto x) {
            return multi_label_cross_entropy(x[0], labels, given,
                                             {.positive_weights = weights, .reduction = reduction});
          },
          [=](const Arrays& x) {
            return reduced(label_losses(
                               x[0], ragged, 0, [](std::size_t j) { return weights[j]; }, 1),
                           reduction, count);
          },
          options()));
      for (const double gamma : {0.0, 0.5, 2.0})
        list.push_back(row(
            "binary_focal", fmt::format("{}, gamma {}", variant, gamma), {shape},
            [&labels, given, reduction, gamma](auto x) {
              return binary_focal(x[0], labels, given, {.gamma = gamma, .alpha = 0.3, .reduction = reduction});
            },
            [=](const Arrays& x) {
              return reduced(label_losses(
                                 x[0], ragged, gamma, [](std::size_t) { return 0.3; }, 0.7),
                             reduction, count);
            },
            options()));
    }
}

void add_class_rows(std::vector<Row>& list) {
  const Shape shape{time_steps, batch, width};
  for (const Reduction reduction : reductions)
    for (const bool weighted : {false, true})
      for (const double gamma : {0.0, 0.5, 2.0})
        list.push_back(row(
            "focal", fmt::format("{}, gamma {}{}", name_of(reduction), gamma, weighted ? ", alpha" : ""), {shape},
            [=](auto x) {
              return focal(x[0], ids,
                           {.gamma = gamma,
                            .alpha = weighted ? std::span<const double>(weights) : std::span<const double>(),
                            .reduction = reduction});
            },
            [=](const Arrays& x) {
              Array each = make_tensor<double>({time_steps, batch}, 0.0);
              for (Index r = 0; r < rows; ++r)
                if (valid(r))
                  each.data()[r] =
                      focal_of(probability(x[0], r), gamma,
                               weighted ? weights[static_cast<std::size_t>(ids[static_cast<std::size_t>(r)])] : 1);
              return reduced(each, reduction, 7);
            },
            options()));
  for (const bool weighted : {false, true})
    list.push_back(row(
        "sequence_cross_entropy", weighted ? "weights" : "", {shape},
        [=](auto x) {
          return sequence_cross_entropy(
              x[0], ids, {}, {.weights = weighted ? std::span<const double>(weights) : std::span<const double>()});
        },
        [=](const Arrays& x) {
          double total = 0;
          for (Index b = 0; b < batch; ++b) {
            double loss = 0, mass = 0;
            for (Index t = 0; t < lengths[static_cast<std::size_t>(b)]; ++t) {
              const Index r = t * batch + b;
              const double w = weighted ? weights[static_cast<std::size_t>(ids[static_cast<std::size_t>(r)])] : 1;
              loss -= w * std::log(probability(x[0], r));
              mass += w;
            }
            total += loss / mass;
          }
          return Array(total / batch);
        },
        options()));
}

template <Real T>
Tensor<T> with_padding(const Array& x, T padding) {
  Tensor<T> y = as<T>(x);
  for (Index r = 0; r < rows; ++r)
    if (!valid(r)) std::fill_n(y.data() + r * width, width, padding);
  return y;
}

}  // namespace

TEST_CASE("class losses: every row") {
  // row("multi_label_cross_entropy") row("binary_focal") row("focal") row("sequence_cross_entropy")
  std::vector<Row> list;
  add_label_rows(list);
  add_class_rows(list);
  for (const Row& r : list) check_row(r);
}

TEST_CASE("class losses: what lies in the padding changes neither value nor gradient, not even NaN") {
  Rng rng(5);
  Array x = make_tensor<double>({time_steps, batch, width});
  for (double& v : x) v = rng.normal();
  // Targets behind the lengths are not read either.
  std::vector<std::int32_t> beyond = ids;
  for (Index r = 0; r < rows; ++r)
    if (!valid(r)) beyond[static_cast<std::size_t>(r)] = 99;
  using Program = std::function<Var<double>(Var<double>)>;
  const Program programs[] = {
      [](Var<double> v) { return multi_label_cross_entropy(v, ragged_roll, lengths); },
      [](Var<double> v) {
        return masked_mean(multi_label_cross_entropy(v, ragged_roll, lengths, {.reduction = Reduction::none}), lengths);
      },
      [](Var<double> v) { return binary_focal(v, ragged_roll, lengths); },
      [](Var<double> v) { return focal(v, ids); },
      [](Var<double> v) { return sequence_mean(cross_entropy(v, ids, {.reduction = Reduction::none}), lengths); },
      [&](Var<double> v) { return sequence_cross_entropy(v, beyond, lengths); }};
  for (const Program& program : programs) {
    Tape<double> tape;
    const Var<double> nan = tape.variable(with_padding<double>(x, NAN)),
                      zero = tape.variable(with_padding<double>(x, 0));
    const Var<double> y = program(nan), z = program(zero);
    CHECK(std::isfinite(y.item()));
    CHECK(y.item() == z.item());
    tape.backward(y + z);
    CHECK(nan.grad() == zero.grad());
    for (Index r = 0; r < rows; ++r)
      for (Index j = 0; j < width; ++j) CHECK((valid(r) || nan.grad().data()[r * width + j] == 0));
  }
}

TEST_CASE_TEMPLATE("class losses: large logits give finite losses and gradients, and the right ones", T, float,
                   double) {
  for (const double gamma : {0.0, 0.5, 2.0}) {
    CAPTURE(gamma);
    Tape<T> tape;
    const std::vector<std::uint8_t> labels{1, 1, 0, 0};
    const auto x = tape.variable(Tensor<T>{{T(1e4), T(-1e4), T(1e4), T(-1e4)}});
    const Var<T> y = binary_focal(x, labels, {}, {.gamma = gamma, .alpha = 0.25});
    CHECK(y.item() == doctest::Approx(0.25e4 + 0.75e4));
    tape.backward(y);
    CHECK(x.grad() == Tensor<T>{{0, T(-0.25), T(0.75), 0}});

    const auto z = tape.variable(Tensor<T>{{T(1e4), T(-1e4), 0}, {T(1e4), T(-1e4), 0}});
    const Var<T> f = focal(z, std::vector<std::int32_t>{0, 1}, {.gamma = gamma});
    CHECK(f.item() == doctest::Approx(1e4));
    tape.backward(f);
    CHECK(z.grad() == Tensor<T>{{0, 0, 0}, {T(0.5), T(-0.5), 0}});
  }
  Tape<T> tape;
  const std::vector<std::uint8_t> labels{1, 1, 0, 0};
  const auto x = tape.variable(Tensor<T>{{T(1e4), T(-1e4), T(1e4), T(-1e4)}});
  const Var<T> y = multi_label_cross_entropy(x, labels);
  CHECK(y.item() == doctest::Approx(2e4));
  tape.backward(y);
  CHECK(x.grad() == Tensor<T>{{0, -1, 1, 0}});
}

TEST_CASE("class losses: a roll of notes that are each as likely as not costs log 2 a note and step") {
  Tape<float> tape;
  // 61.00: the row "Random" of Boulanger-Lewandowski, Bengio and Vincent 2012, table 1.
  const std::vector<std::uint8_t> notes(2 * 3 * 88, 1);
  const auto x = tape.zeros({2, 3, 88});
  CHECK(multi_label_cross_entropy(x, notes).item() == doctest::Approx(88 * std::log(2)));
  CHECK(multi_label_cross_entropy(x, notes, std::vector<Index>{2, 0, 1}).item() == doctest::Approx(88 * std::log(2)));
}

TEST_CASE("class losses: a short sequence counts as much as a long one") {
  Tape<double> tape;
  Array loss = make_tensor<double>({4, 3}, NAN);
  for (Index t = 0; t < 4; ++t) loss(t, 0) = 1;
  loss(0, 2) = 11;
  const std::vector<Index> steps{4, 0, 1};  // that of no step is left out
  CHECK(sequence_mean(tape.constant(loss), steps).item() == doctest::Approx(6));
  CHECK(masked_mean(tape.constant(loss), steps).item() == doctest::Approx(3));
}

TEST_CASE("class losses: what does not fit is an error in a sentence") {
  Tape<double> tape;
  const auto x = tape.zeros({2, 3, 2});
  const std::vector<std::uint8_t> labels(12, 0);
  std::vector<std::uint8_t> wrong = labels;
  wrong[7] = 2;
  CHECK_THROWS_WITH_AS(multi_label_cross_entropy(x, wrong),
                       "multi_label_cross_entropy: label 1 of row 3 is 2, not 0 or 1", ValueError);
  CHECK_THROWS_WITH_AS(multi_label_cross_entropy(x, std::span(labels).first(3)),
                       "multi_label_cross_entropy: 3 labels for logits [2, 3, 2]", ShapeError);
  CHECK_THROWS_WITH_AS(multi_label_cross_entropy(x, labels, std::vector<Index>{1, 2}),
                       "multi_label_cross_entropy: 2 lengths for logits [2, 3, 2]", ShapeError);
  CHECK_THROWS_WITH_AS(multi_label_cross_entropy(x, labels, std::vector<Index>{1, 2, 3}),
                       "multi_label_cross_entropy: length 3 for logits [2, 3, 2]", ShapeError);
  CHECK_THROWS_WITH_AS(multi_label_cross_entropy(x, labels, std::vector<Index>{0, 0, 0}),
                       "multi_label_cross_entropy: every row is padding", ValueError);
  CHECK(multi_label_cross_entropy(x, labels, std::vector<Index>{0, 0, 0}, {.reduction = Reduction::sum}).item() == 0);
  CHECK_THROWS_WITH_AS(multi_label_cross_entropy(x, labels, {}, {.positive_weights = weights}),
                       "multi_label_cross_entropy: 5 weights for 2 labels", ShapeError);
  const std::vector<double> negative{1, -1};
  CHECK_THROWS_WITH_AS(multi_label_cross_entropy(x, labels, {}, {.positive_weights = negative}),
                       "multi_label_cross_entropy: the weight -1 is negative or not finite", ValueError);
  CHECK_THROWS_WITH_AS(binary_focal(x, labels, {}, {.gamma = -1}), "binary_focal: gamma -1 is negative or not finite",
                       ValueError);
  CHECK_THROWS_WITH_AS(binary_focal(x, labels, {}, {.alpha = 2}), "binary_focal: alpha 2 is not in 0 .. 1", ValueError);
  CHECK_THROWS_AS(binary_focal(x, labels, std::vector<Index>{0, 0, 0}), ValueError);

  const std::vector<std::int32_t> none(6, -1);
  CHECK_THROWS_WITH_AS(focal(x, none), "focal: every row is padding", ValueError);
  CHECK_THROWS_AS(focal(x, std::vector<std::int32_t>(6, 2)), IndexError);
  CHECK_THROWS_WITH_AS(focal(x, none, {.alpha = weights}), "focal: 5 alphas for logits [2, 3, 2]", ShapeError);
  CHECK_THROWS_WITH_AS(focal(x, none, {.alpha = negative}), "focal: alpha -1 is negative or not finite", ValueError);

  CHECK_THROWS_WITH_AS(sequence_cross_entropy(x, none), "sequence_cross_entropy: there is no target to average over",
                       ValueError);
  CHECK_THROWS_WITH_AS(sequence_cross_entropy(x, std::span(none).first(2)),
                       "sequence_cross_entropy: 2 targets for logits [2, 3, 2]", ShapeError);
  CHECK_THROWS_WITH_AS(sequence_cross_entropy(x, none, std::vector<Index>{3, 1, 1}),
                       "sequence_cross_entropy: length 3 for logits [2, 3, 2]", ShapeError);
  CHECK_THROWS_AS(sequence_cross_entropy(x, std::vector<std::int32_t>(6, 2)), IndexError);
  const auto steps = tape.zeros({2, 3});
  CHECK_THROWS_WITH_AS(sequence_mean(steps, std::vector<Index>{1, 2}), "sequence_mean: 2 lengths for a loss [2, 3]",
                       ShapeError);
  CHECK_THROWS_WITH_AS(sequence_mean(steps, std::vector<Index>{0, 0, 0}), "sequence_mean: every step is padding",
                       ValueError);
}
