#include <layers/compare.h>
#include <unroll/autograd/check/gradients.h>

using namespace unroll;

namespace {

using Convolution = TimeConvolution<double>;

/// By its definition: sums over the window, with zeros outside of the row.
Tensor<double> by_hand(const Convolution& layer, const Tensor<double>& xs, const std::vector<Index>& lengths) {
  const Shape s = shape_of(xs), w = layer.weight.shape();
  const auto& o = layer.options;
  const Index reach = (w[0] - 1) * o.dilation, first = o.padding == Padding::causal ? -reach : -reach / 2;
  Tensor<double> y = make_tensor<double>({(s[0] + o.stride - 1) / o.stride, s[1], w[2]}, 0.0);
  for (Index b = 0; b < s[1]; ++b)
    for (Index t = 0; t * o.stride < lengths[static_cast<std::size_t>(b)]; ++t)
      for (Index j = 0; j < w[2]; ++j) {
        double total = layer.bias.value().data()[j];
        for (Index k = 0; k < w[0]; ++k) {
          const Index at = t * o.stride + first + k * o.dilation;
          if (at < 0 || at >= lengths[static_cast<std::size_t>(b)]) continue;
          for (Index i = 0; i < w[1]; ++i)
            total += xs.data()[(at * s[1] + b) * s[2] + i] * layer.weight.value().data()[(k * w[1] + i) * w[2] + j];
        }
        y.data()[(t * s[1] + b) * w[2] + j] = total;
      }
  return y;
}

Tensor<double> with_padding(Tensor<double> x, const std::vector<Index>& lengths, double padding) {
  const Shape s = shape_of(x);
  for (Index t = 0; t < s[0]; ++t)
    for (Index b = 0; b < s[1]; ++b)
      if (t >= lengths[static_cast<std::size_t>(b)]) std::fill_n(x.data() + (t * s[1] + b) * s[2], s[2], padding);
  return x;
}

template <class F>
void for_all(F f) {
  for (const Padding padding : {Padding::causal, Padding::centred})
    for (const Index window : {1, 3, 5})
      for (const Index stride : {1, 2, 3})
        for (const Index dilation : {1, 2}) f(window, Convolution::Options{padding, stride, dilation});
}

}  // namespace

TEST_CASE("convolution over time: values are those of the definition, and padding is not read") {
  Rng rng{1};
  const std::vector<Index> lengths{5, 9, 0, 1}, full(4, 9);
  const auto xs = random_tensor({9, 4, 3}, rng);
  for_all([&](Index window, const Convolution::Options& options) {
    const Convolution layer(3, 2, window, rng, options);
    Tape<double> tape;
    CHECK(distance(layer(tape.constant(xs)).value(), by_hand(layer, xs, full)) <= 1e-14);
    const auto y = layer(tape.constant(with_padding(xs, lengths, NAN)), lengths);
    CHECK(distance(y.value(), by_hand(layer, xs, lengths)) <= 1e-14);
    CHECK(layer.lengths(full) == std::vector<Index>(4, y.shape()[0]));
  });
}

TEST_CASE("convolution over time: gradients agree with differences, and padding gets none") {
  Rng rng{2};
  const std::vector<Index> lengths{4, 6, 1};
  for_all([&](Index window, const Convolution::Options& options) {
    Convolution layer(2, 3, window, rng, options);
    Parameter<double> xs(with_padding(random_tensor({6, 3, 2}, rng), lengths, 7));
    auto listed = parameters<double>(layer);
    listed.push_back(&xs);
    const auto report =
        check_gradients([&](Tape<double>& tape) { return sum(square(layer(tape.use(xs), lengths) - 0.3)); }, listed);
    INFO(report.text());
    CHECK(report);
  });
  Convolution layer(2, 3, 3, rng);
  Tape<double> tape;
  const auto x = tape.variable(with_padding(random_tensor({6, 3, 2}, rng), lengths, NAN));
  tape.backward(sum(layer(x, lengths)));
  CHECK(with_padding(x.grad(), lengths, 0) == x.grad());
  CHECK(std::isfinite(xt::sum(x.grad())()));
}

TEST_CASE("convolution over time: a causal one does not look ahead") {
  Rng rng{3};
  const Convolution layer(2, 3, 4, rng, {.dilation = 2});
  auto xs = random_tensor({9, 2, 2}, rng);
  Tape<double> tape;
  const auto before = layer(tape.constant(xs));
  for (Index i = 5 * 4; i < 9 * 4; ++i) xs.data()[i] += 1;
  const auto after = layer(tape.constant(xs));
  for (Index t = 0; t < 9; ++t) CHECK((distance(after[t].value(), before[t].value()) == 0) == (t < 5));
}

TEST_CASE("pooling over windows of time: values by hand, padding not read") {
  const std::vector<Index> lengths{5, 3};
  Tensor<double> xs = make_tensor<double>({5, 2, 1});
  std::copy_n(std::array{1.0, -1.0, 4.0, -3.0, 2.0, -2.0, 8.0, nan(""), 6.0, nan("")}.begin(), 10, xs.begin());
  Tape<double> tape;
  const auto x = tape.variable(xs);
  const auto mean = mean_pool_over_time(x, {.size = 2, .stride = 2}, lengths);
  const auto most = max_pool_over_time(x, {.size = 3, .stride = 2}, lengths);
  const auto column = [](std::array<double, 6> v) {
    Tensor<double> t = make_tensor<double>({3, 2, 1});
    std::copy(v.begin(), v.end(), t.begin());
    return t;
  };
  CHECK(mean.value() == column({2.5, -2, 5, -2, 6, 0}));
  CHECK(most.value() == column({4, -1, 8, -2, 6, 0}));
  CHECK(strided_lengths(lengths, 2) == std::vector<Index>{3, 2});
  tape.backward(sum(mean) + sum(most));
  const Tensor<double> g = x.grad();
  CHECK(std::vector<double>(g.begin(), g.end()) == std::vector<double>{0.5, 1.5, 1.5, 0.5, 0.5, 2, 1.5, 0, 2, 0});
}

TEST_CASE("convolution and pooling over time: what does not fit is refused") {
  Rng rng{4};
  CHECK_THROWS_WITH_AS(Convolution(1, 1, 4, rng, {Padding::centred}),
                       "time_convolution: a window of 4 has no middle: one that is centred is odd", ValueError);
  CHECK_THROWS_WITH_AS(Convolution(1, 1, 3, rng, {.stride = 0}),
                       "time_convolution: window 3, stride 0 and dilation 1 must be at least 1", ValueError);
  Convolution layer(2, 3, 3, rng);
  const auto named = parameters<double>(layer);
  Tape<double> tape;
  CHECK_THROWS_WITH_AS(layer(tape.zeros({4, 2, 5})),
                       doctest::Contains("time_convolution: a sequence [time, batch, 2] is needed, not [4, 2, 5]"),
                       ShapeError);
  const std::vector<Index> lengths{3, 9};
  CHECK_THROWS_WITH_AS(layer(tape.zeros({4, 2, 2}), lengths),
                       doctest::Contains("time_convolution: length 9 of row 1 in the sequence [4, 2, 2]"), ShapeError);
  CHECK_THROWS_WITH_AS(max_pool_over_time(tape.zeros({4, 2}), {}),
                       doctest::Contains("max_pool_over_time: a sequence [time, batch, width] is needed, not [4, 2]"),
                       ShapeError);
  CHECK_THROWS_AS(mean_pool_over_time(tape.zeros({4, 2, 2}), {.size = 0}), ValueError);
  CHECK(layer(tape.zeros({0, 2, 2})).shape() == Shape{0, 2, 3});
}
