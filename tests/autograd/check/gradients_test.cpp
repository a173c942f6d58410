#include <doctest/doctest.h>

#include <limits>
#include <numbers>

#include <unroll/autograd/check/gradients.h>
#include <unroll/layers/layers.h>

using namespace unroll;

// The checker is shown right gradients, and gradients with a fault that published libraries have had.

namespace {

enum class Fault { none, factor, swapped, in_order, first_mask };

/// y = x, y = x with its steps reversed, or y = mask[t] x; what goes back is wrong in a way that is asked for.
struct Planted {
  static constexpr const char* name = "planted";
  Var<double> x;
  Fault fault;
  double factor = 1;
  bool reversed = false;
  const double* mask = nullptr;  // by row

  void forward(Var<double> y) const {
    const View<const double> from = values(x);
    const View<double> to = result(y);
    for (Index r = 0; r < to.rows; ++r)
      for (Index c = 0; c < to.cols; ++c)
        to.row(r)[c] = from.row(reversed ? to.rows - 1 - r : r)[c] * (mask != nullptr ? mask[r] : 1);
  }
  void backward(Var<double> y) const {
    const View<const double> dy = unroll::gradient(y);
    const View<double> dx = unroll::gradient(x);
    for (Index r = 0; r < dy.rows; ++r)
      for (Index c = 0; c < dy.cols; ++c) {
        const Index half = dy.cols / 2, column = fault == Fault::swapped ? (c + half) % dy.cols : c;
        const Index row = reversed && fault != Fault::in_order ? dy.rows - 1 - r : r;
        const double m = mask == nullptr ? 1 : mask[fault == Fault::first_mask ? 0 : r];
        dx.row(row)[c] += dy.row(r)[column] * m * (fault == Fault::factor ? factor : 1);
      }
  }
};

Var<double> plant(Var<double> x, Planted rule) {
  rule.x = x;
  return record(x.shape(), rule, x);
}

/// h <- tanh(xs W + h U + b) over five steps, with a place for a fault.
struct Recurrence {
  static constexpr Index time = 5, in = 3, width = 4;
  Rng rng{7};
  Parameter<double> xs{init::normal<double>({time, 1, in}, 1.0, rng)}, w{init::normal<double>({in, width}, 0.5, rng)},
      u{init::normal<double>({width, width}, 0.5, rng)}, b{init::normal<double>({width}, 0.5, rng)};
  static void fields(auto& m, auto&& f) { f("xs", m.xs), f("w", m.w), f("u", m.u), f("b", m.b); }

  /// at_state(h, t) and at_bias(b) return what they are given, perhaps with a fault.
  template <class AtState, class AtBias>
  Var<double> loss(Tape<double>& tape, AtState at_state, AtBias at_bias) {
    Var<double> h = tape.zeros({1, width}), all = tape.constant(0.0);
    const Var<double> projected = matmul(tape.use(xs), tape.use(w));
    for (Index t = 0; t < time; ++t) {
      h = Var<double>(tanh(projected[t] + matmul(at_state(h, t), tape.use(u)) + at_bias(tape.use(b))));
      all = Var<double>(all + sum(square(h)) * (1.0 + 0.1 * static_cast<double>(t)));
    }
    return all;
  }

  template <class AtState, class AtBias>
  GradientReport check(AtState at_state, AtBias at_bias) {
    return check_gradients([&](Tape<double>& tape) { return loss(tape, at_state, at_bias); },
                           parameters<double>(*this));
  }
};

constexpr auto same_state = [](Var<double> h, Index) { return h; };
constexpr auto same_bias = [](Var<double> b) { return b; };

GradientReport with_factor(double factor) {
  return Recurrence().check(
      [&](Var<double> h, Index) { return plant(h, {.x = h, .fault = Fault::factor, .factor = factor}); }, same_bias);
}

bool names(const GradientReport& report, std::string_view words) {
  CAPTURE(report.text());
  CHECK_FALSE(report);
  CHECK_FALSE(report.problems.empty());
  return report.text().find(words) != std::string::npos;
}

}  // namespace

TEST_CASE("check_gradients: right gradients pass, and every entry was compared") {
  const auto report = Recurrence().check(same_state, same_bias);
  CAPTURE(report.text());
  CHECK(report);
  CHECK(report.problems.empty());
  CHECK(report.entries == 15 + 12 + 16 + 4);
  CHECK(report.worst.error < 1e-8);
  CHECK(report.worst_projection < 1e-8);
  CHECK(with_factor(1.0));
}

TEST_CASE("check_gradients: a derivative that is off by a percent, by a hundred thousandth, by its sign") {
  for (const double factor : {1.01, 1.0 + 1e-5, 1.0 - 1e-5, -1.0, 0.0}) {
    CAPTURE(factor);
    CHECK(names(with_factor(factor), "differences give"));
  }
}

TEST_CASE("check_gradients: the gradient of a bias that was dropped names the bias") {
  Recurrence r;
  const auto report =
      r.check(same_state, [](Var<double> b) { return plant(b, {.x = b, .fault = Fault::factor, .factor = 0}); });
  CHECK(names(report, "the gradient of b at ["));
  CHECK(names(report, "1 of 4 parameters disagree: b"));
  CHECK(report.worst.parameter == "b");
  CHECK(report.worst.analytic == 0.0);
  CHECK(report.worst.error == doctest::Approx(1.0));
}

TEST_CASE("check_gradients: gates whose gradients are swapped") {
  const auto report =
      Recurrence().check([](Var<double> h, Index) { return plant(h, {.x = h, .fault = Fault::swapped}); }, same_bias);
  CHECK(names(report, "differences give"));
}

TEST_CASE("check_gradients: the mask of the first step used for the gradients of all") {
  static constexpr double mask[] = {0, 1, 1, 0, 1};
  const auto loss_of = [](Fault fault) {
    return [fault](Recurrence& r) {
      return check_gradients(
          [&r, fault](Tape<double>& tape) {
            const Var<double> xs = reshape(matmul(tape.use(r.xs), tape.use(r.w)), {5, 4});
            return Var<double>(sum(square(tanh(plant(xs, {.x = xs, .fault = fault, .mask = mask})))));
          },
          {&r.xs, &r.w});
    };
  };
  Recurrence r;
  CHECK(loss_of(Fault::none)(r));
  CHECK(names(loss_of(Fault::first_mask)(r), "differences give"));
}

TEST_CASE("check_gradients: a backward direction whose gradients are not turned round") {
  for (const Fault fault : {Fault::none, Fault::in_order}) {
    Recurrence r;
    const auto report = check_gradients(
        [&](Tape<double>& tape) {
          const Var<double> xs = reshape(tape.use(r.xs), {5, 3});
          const Var<double> turned = plant(xs, {.x = xs, .fault = fault, .reversed = true});
          Var<double> h = tape.zeros({1, 4});
          for (Index t = 0; t < 5; ++t)
            h = Var<double>(tanh(matmul(slice(turned, 0, t, t + 1), tape.use(r.w)) + matmul(h, tape.use(r.u))));
          return Var<double>(sum(h));
        },
        {&r.xs, &r.w, &r.u});
    CAPTURE(report.text());
    CHECK(report.passed == (fault == Fault::none));
  }
}

TEST_CASE("check_gradients: a gradient that stops at the last step") {
  const auto report = Recurrence().check(
      [](Var<double> h, Index t) {
        return plant(h, {.x = h, .fault = Fault::factor, .factor = t == Recurrence::time - 1 ? 1.0 : 0.0});
      },
      same_bias);
  CHECK(names(report, "differences give"));
}

TEST_CASE("check_gradients: one wrong entry is named with its index and both values") {
  Parameter<double> x(Tensor<double>{{1.0, 2.0}, {3.0, 4.0}});
  const auto report = check_gradients(
      [&](Tape<double>& tape) {
        const Var<double> v = tape.use(x);
        const Var<double> second = slice(v, 0, 1, 2), wrong = slice(second, 1, 0, 1);
        return Var<double>(sum(square(v)) + sum(plant(wrong, {.x = wrong, .fault = Fault::factor, .factor = 2})));
      },
      {&x});
  CHECK(names(report, "at [1, 0] is 8, differences give"));
  CHECK(report.worst.index == "[1, 0]");
  CHECK(report.worst.analytic == 8.0);
  CHECK(report.worst.numeric == doctest::Approx(7.0));
}

TEST_CASE("check_gradients: a loss that is not the same each time") {
  Parameter<double> x(Tensor<double>{1.0, 2.0});
  int calls = 0;
  const auto report = check_gradients(
      [&](Tape<double>& tape) { return Var<double>(sum(tape.use(x)) * static_cast<double>(++calls)); }, {&x});
  CHECK(names(report, "not the same each time"));
}

TEST_CASE("check_gradients: dropout is the same each time, and its gradient is checked") {
  Parameter<double> x(Tensor<double>{1.0, -2.0, 3.0, 0.5, 2.0});
  CHECK(check_gradients([&](Tape<double>& tape) { return Var<double>(sum(square(dropout(tape.use(x), 0.4)))); }, {&x}));
}

TEST_CASE("check_gradients: a parameter that is not listed, and a listed one without influence") {
  Parameter<double> x(Tensor<double>{1.0, 2.0}), y(Tensor<double>{3.0, 4.0});
  const auto product = [&](Tape<double>& tape) { return Var<double>(sum(tape.use(x) * tape.use(y))); };
  CHECK(names(check_gradients(product, {&x}), "was used but is not listed"));
  CHECK(check_gradients(product, {&x, &y}));
  const auto alone = [&](Tape<double>& tape) { return Var<double>(sum(square(tape.use(x)))); };
  CHECK(names(check_gradients(alone, {&x, &y}), "the loss does not depend on"));
  CHECK(check_gradients(alone, {&x, &y}, {.may_be_unused = true}));
  const auto nothing = [&](Tape<double>& tape) { return tape.constant(1.0); };
  CHECK(names(check_gradients(nothing, {&x}), "the loss does not depend on"));
}

TEST_CASE("check_gradients: a loss that is not finite names the op that made it so") {
  Parameter<double> x(Tensor<double>{1.0, -2.0});
  const auto report = check_gradients([&](Tape<double>& tape) { return Var<double>(sum(log(tape.use(x)))); }, {&x});
  CHECK(names(report, "log"));
}

TEST_CASE("check_gradients: an analytic gradient that is not a number") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(names(with_factor(nan), "differences give"));
}

TEST_CASE("check_gradients: values are as they were afterwards, also when the loss throws") {
  Parameter<double> x(Tensor<double>{1.0, 2.0});
  int calls = 0;
  const auto loss = [&](Tape<double>& tape) {
    if (++calls == 5) throw ValueError("enough");
    return Var<double>(sum(square(tape.use(x))));
  };
  CHECK_THROWS_AS(check_gradients(loss, {&x}), ValueError);
  CHECK(x.value() == Tensor<double>{1.0, 2.0});
  CHECK(check_gradients(loss, {&x}));
  CHECK(x.value() == Tensor<double>{1.0, 2.0});
}
