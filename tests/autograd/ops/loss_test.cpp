#include <autograd/ops/reference.h>

using namespace unroll;
using namespace unroll::testing;

namespace {

constexpr Index classes = 5;
const std::vector<std::int32_t> targets{2, 0, -1, 4, 4, 1};
const std::vector<std::int32_t> all_targets{2, 0, 3, 4, 4, 1};
const std::vector<double> class_weights{0.5, 1, 2, 0.25, 1.5};
const std::vector<Index> lengths{3, 1, 2};

/// Cross entropy by its definition: minus the sum over classes of the target's share and weight times log softmax.
Array cross_entropy_of(const Array& logits, const std::vector<std::int32_t>& ids, const CrossEntropyOptions& o) {
  double total = 0, mass = 0;
  Array each = make_tensor<double>({2, 3}, 0.0);
  for (std::size_t r = 0; r < ids.size(); ++r) {
    if (ids[r] == o.ignore) continue;
    const double* x = logits.data() + static_cast<Index>(r) * classes;
    double sum = 0;
    for (Index c = 0; c < classes; ++c) sum += std::exp(x[c]);
    const auto weight = [&](Index c) { return o.weights.empty() ? 1.0 : o.weights[static_cast<std::size_t>(c)]; };
    double& loss = each.data()[r];
    for (Index c = 0; c < classes; ++c)
      loss -= ((c == ids[r] ? 1 - o.smoothing : 0) + o.smoothing / classes) * weight(c) * (x[c] - std::log(sum));
    total += loss;
    mass += weight(ids[r]);
  }
  if (o.reduction == Reduction::none) return each;
  return Array(o.reduction == Reduction::mean ? total / mass : total);
}

struct Variant {
  const char* name;
  const std::vector<std::int32_t>& ids;
  CrossEntropyOptions options;
};
std::vector<Variant> variants() {
  return {{"all rows", all_targets, {}},
          {"padding", targets, {}},
          {"another class ignored", all_targets, {.ignore = 4}},
          {"weights", targets, {.weights = class_weights}},
          {"smoothing", targets, {.smoothing = 0.2}},
          {"smoothing and weights", all_targets, {.weights = class_weights, .smoothing = 0.1}},
          {"a sum", targets, {.weights = class_weights, .smoothing = 0.3, .reduction = Reduction::sum}},
          {"of each row", targets, {.weights = class_weights, .smoothing = 0.3, .reduction = Reduction::none}}};
}

// Each of 6 rows adds a loss below 7, of which a few units are rounding; a gradient is a share below 1 times weights up
// to 2.
RowOptions options(std::vector<Domain> domains = {{}}) {
  return {.domains = std::move(domains), .forward = {.absolute = 512}, .backward = {.absolute = 256}};
}

std::vector<Row> loss_rows() {
  std::vector<Row> rows;
  const auto mean_over = [](auto of_pair) {
    return [=](const Arrays& x) {
      double total = 0;
      for (std::size_t i = 0; i < x[0].size(); ++i) total += of_pair(x[0].data()[i], x[1].data()[i]);
      return Array(total / static_cast<double>(x[0].size()));
    };
  };
  for (const Variant& v : variants()) {
    rows.push_back(row(
        "cross_entropy", v.name, {{2, 3, classes}}, [v](auto x) { return cross_entropy(x[0], v.ids, v.options); },
        [v](const Arrays& x) { return cross_entropy_of(x[0], v.ids, v.options); }, options()));
    rows.push_back(row(
        "linear_cross_entropy", v.name, {{2, 3, 4}, {4, classes}, {classes}},
        [v](auto x) { return linear_cross_entropy(x[0], x[1], x[2], v.ids, v.options); },
        [v](const Arrays& x) {
          const Array y = product(reshaped(x[0], {6, 4}), x[1]) + x[2];
          return cross_entropy_of(y, v.ids, v.options);
        },
        {.forward = {.absolute = 4096}, .backward = {.absolute = 4096}}));
    rows.push_back(row(
        "linear_cross_entropy", std::string(v.name) + ", the weight transposed", {{2, 3, 4}, {classes, 4}, {classes}},
        [v](auto x) { return linear_cross_entropy(x[0], x[1], x[2], v.ids, v.options, {.b = true}); },
        [v](const Arrays& x) {
          const Array y = product(reshaped(x[0], {6, 4}), Array(xt::transpose(x[1]))) + x[2];
          return cross_entropy_of(y, v.ids, v.options);
        },
        {.forward = {.absolute = 4096}, .backward = {.absolute = 4096}}));
  }
  rows.push_back(row(
      "binary_cross_entropy", "", {{3, 4}, {3, 4}}, [](auto x) { return binary_cross_entropy(x[0], x[1]); },
      mean_over([](double x, double t) {
        const double p = 1 / (1 + std::exp(-x));
        return -t * std::log(p) - (1 - t) * std::log(1 - p);
      }),
      options({{-2, 2}, {0, 1}})));
  rows.push_back(row(
      "mse", "", {{3, 4}, {3, 4}}, [](auto x) { return mse(x[0], x[1]); },
      mean_over([](double x, double t) { return (x - t) * (x - t); }), options()));
  rows.push_back(row(
      "mse", "a target for each column", {{4, 3}, {3}}, [](auto x) { return mse(x[0], x[1]); },
      [](const Arrays& x) { return Array(xt::mean(xt::square(x[0] - x[1]))()); }, options()));
  for (const double delta : {1.0, 0.3})
    rows.push_back(row(
        "huber", fmt::format("delta {}", delta), {{3, 4}, {3, 4}}, [delta](auto x) { return huber(x[0], x[1], delta); },
        mean_over([delta](double x, double t) {
          const double d = std::abs(x - t);
          return d < delta ? 0.5 * d * d : delta * (d - 0.5 * delta);
        }),
        options()));
  rows.push_back(row(
      "nll", "", {{2, 3, classes}}, [](auto x) { return nll(x[0], all_targets); },
      [](const Arrays& x) {
        double total = 0;
        for (Index r = 0; r < 6; ++r) total -= x[0].data()[r * classes + all_targets[static_cast<std::size_t>(r)]];
        return Array(total / 6);
      },
      options()));
  rows.push_back(row(
      "masked_mean", "", {{4, 3}}, [](auto x) { return masked_mean(x[0], lengths); },
      [](const Arrays& x) {
        double total = 0;
        for (Index b = 0; b < 3; ++b)
          for (Index t = 0; t < lengths[static_cast<std::size_t>(b)]; ++t) total += x[0](t, b);
        return Array(total / 6);
      },
      options()));
  rows.push_back(row(
      "sequence_mean", "", {{4, 3}}, [](auto x) { return sequence_mean(x[0], lengths); },
      [](const Arrays& x) {
        double total = 0;
        for (Index b = 0; b < 3; ++b)
          for (Index t = 0; t < lengths[static_cast<std::size_t>(b)]; ++t)
            total += x[0](t, b) / static_cast<double>(lengths[static_cast<std::size_t>(b)]);
        return Array(total / 3);
      },
      options()));
  return rows;
}

}  // namespace

TEST_CASE("loss: every row") {
  for (const Row& r : loss_rows()) check_row(r);
}

TEST_CASE("loss: length_mask is 1 for the valid steps") {
  // row("length_mask") has no operand to differentiate.
  Tape<float> tape;
  CHECK(length_mask(tape, lengths, 4).value() == Tensor<float>{{1, 1, 1}, {1, 0, 1}, {1, 0, 0}, {0, 0, 0}});
}

// Classes beyond one block, rows beyond one tile, and more of both than are kept for backward.
TEST_CASE("loss: the fused loss is affine and cross_entropy, in value and gradients") {
  struct Size {
    Index rows, classes;
    std::size_t variants;
  };
  for (const Size& size : {Size{150, 5, 8}, Size{150, 1100, 8}, Size{1100, 600, 8}, Size{1100, 8000, 1}}) {
    CAPTURE(size.rows);
    CAPTURE(size.classes);
    Rng rng(9);
    const auto normal = [&](const Shape& shape) {
      Array x = make_tensor<double>(shape);
      for (double& v : x) v = rng.normal();
      return x;
    };
    std::vector<Parameter<double>> p;
    for (const Shape& s : {Shape{size.rows, 7}, Shape{7, size.classes}, Shape{size.classes}}) p.emplace_back(normal(s));
    std::vector<std::int32_t> ids(static_cast<std::size_t>(size.rows));
    for (auto& id : ids) id = static_cast<std::int32_t>(rng.below(size.classes + 1)) - 1;
    std::vector<double> weights(static_cast<std::size_t>(size.classes));
    for (double& w : weights) w = rng.uniform(0.25, 2);
    const std::vector<Variant> all = variants();
    for (Variant v : std::span(all).first(size.variants)) {
      CAPTURE(v.name);
      if (v.options.ignore >= 0) continue;
      if (!v.options.weights.empty()) v.options.weights = weights;
      const auto run = [&](auto loss) {
        Tape<double> tape;
        for (auto& q : p) q.clear_grad();
        const Var<double> y = loss(tape);
        tape.backward(weighted(y));
        return Arrays{value_of(y), p[0].grad(), p[1].grad(), p[2].grad()};
      };
      const Arrays fused =
          run([&](auto& tape) { return linear_cross_entropy(tape.use(p[0]), p[1], p[2], ids, v.options); });
      const Arrays apart =
          run([&](auto& tape) { return cross_entropy(affine(tape.use(p[0]), p[1], p[2]), ids, v.options); });
      const Arrays across = run([&](auto& tape) {
        return linear_cross_entropy(tape.use(p[0]), transpose(tape.use(p[1])), p[2], ids, v.options, {.b = true});
      });
      for (std::size_t k = 0; k < fused.size(); ++k) {
        CHECK(excess(fused[k], apart[k], {.relative = 512, .absolute = 512}, u_double) == 0);
        CHECK(excess(across[k], apart[k], {.relative = 512, .absolute = 512}, u_double) == 0);
      }
    }
  }
}

// 8000 rows are more than is kept for backward.
TEST_CASE("loss: blocks of classes that are impossible, or far below the others, in the fused loss") {
  constexpr Index many = 2300, likely = 2290;  // in the last block
  for (const Index rows : {2, 8000}) {
    CAPTURE(rows);
    Tape<double> tape;
    Array bias = make_tensor<double>({many}, -INFINITY);
    for (Index c = 1200; c < many; ++c) bias(c) = c < likely ? -200.0 : 5.0;
    const Var<double> h = tape.variable(make_tensor<double>({rows, 1}, 1.0)),
                      w = tape.variable(make_tensor<double>({1, many}, 0.5)), b = tape.variable(bias);
    std::vector<std::int32_t> ids(static_cast<std::size_t>(rows), many - 1);
    const Var<double> loss = linear_cross_entropy(h, w, b, ids);
    CHECK(loss.item() == doctest::Approx(std::log(10)));
    tape.backward(loss);
    const auto expected = [](Index c) { return c < likely ? 0 : c == many - 1 ? 0.1 - 1 : 0.1; };
    for (Index c = 0; c < many; ++c) {
      CHECK(b.grad()(c) == doctest::Approx(expected(c)));
      CHECK(w.grad()(0, c) == doctest::Approx(expected(c)));
    }
    for (const double g : h.grad()) CHECK_UNARY(std::abs(g) * static_cast<double>(rows) < 1e-12);
    ids[0] = 3;
    CHECK(linear_cross_entropy(h, w, b, ids).item() == INFINITY);
    ids[0] = many - 1;
    bias(1300) = INFINITY;
    CHECK(linear_cross_entropy(h, w, tape.variable(bias), ids).item() == INFINITY);
    bias(1300) = NAN;
    CHECK(std::isnan(linear_cross_entropy(h, w, tape.variable(bias), ids).item()));
  }
}

TEST_CASE("loss: the fused loss is the same, to the bit, with a backward to come and without") {
  Rng rng(3);
  for (const Index rows : {3, 1100}) {
    Tensor<float> h = make_tensor<float>({rows, 9}), w = make_tensor<float>({9, 1200}), b = make_tensor<float>({1200});
    for (Tensor<float>* x : {&h, &w, &b})
      for (float& v : *x) v = static_cast<float>(rng.normal());
    std::vector<std::int32_t> ids(static_cast<std::size_t>(rows));
    for (auto& id : ids) id = static_cast<std::int32_t>(rng.below(1201)) - 1;
    const auto loss = [&](Tape<float> tape) {
      return linear_cross_entropy(tape.variable(h), tape.variable(w), tape.variable(b), ids, {.smoothing = 0.1}).item();
    };
    CHECK(loss(Tape<float>()) == loss(Tape<float>::inference()));
  }
}

TEST_CASE("loss: large logits neither overflow nor lose the loss") {
  Tape<float> tape;
  const std::vector<std::int32_t> id{1};
  const Var<float> x = tape.variable(Tensor<float>{{1e4F, -1e4F, 0}});
  const Var<float> loss = cross_entropy(x, id);
  CHECK(loss.item() == doctest::Approx(2e4));
  tape.backward(loss);
  CHECK(x.grad() == Tensor<float>{{1, -1, 0}});
  const Var<float> z = tape.constant(Tensor<float>{1000, -1000}), t = tape.constant(Tensor<float>{1, 0});
  CHECK(binary_cross_entropy(z, t).item() == 0);
  CHECK(binary_cross_entropy(z, Var<float>(1 - t)).item() == 1000);
  const Var<float> impossible = tape.variable(Tensor<float>{{-INFINITY, 0, 0}});
  CHECK(cross_entropy(impossible, id).item() == doctest::Approx(std::log(2)));
  CHECK(cross_entropy(impossible, std::vector<std::int32_t>{0}).item() == INFINITY);
}

TEST_CASE("loss: what lies in the padding changes nothing, not even NaN") {
  Tape<double> tape;
  Array loss = make_tensor<double>({4, 3}, NAN);
  for (Index b = 0; b < 3; ++b)
    for (Index t = 0; t < lengths[static_cast<std::size_t>(b)]; ++t) loss(t, b) = 2;
  const Var<double> v = tape.variable(loss), mean = masked_mean(v, lengths);
  CHECK(mean.item() == doctest::Approx(2));
  tape.backward(mean);
  for (Index b = 0; b < 3; ++b)
    for (Index t = 0; t < 4; ++t)
      CHECK(v.grad()(t, b) == doctest::Approx(t < lengths[static_cast<std::size_t>(b)] ? 1.0 / 6 : 0));
  Array logits = make_tensor<double>({6, classes}, 0.0);
  for (Index c = 0; c < classes; ++c) logits(2, c) = NAN;
  const Var<double> x = tape.variable(logits), ce = cross_entropy(x, targets);
  CHECK(ce.item() == doctest::Approx(std::log(5)));
  tape.backward(ce);
  for (const double g : x.grad()) CHECK(std::isfinite(g));
  CHECK(x.grad()(2, 0) == 0);
}
