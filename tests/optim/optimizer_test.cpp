#include <layers/compare.h>
#include <unroll/optim/optim.h>

using namespace unroll;

namespace {

using List = std::vector<Parameter<double>*>;

Tensor<double> vector_of(std::initializer_list<double> v) {
  Tensor<double> t = make_tensor<double>({static_cast<Index>(v.size())});
  std::copy(v.begin(), v.end(), t.begin());
  return t;
}

void receive(Parameter<double>& p, std::initializer_list<double> gradient) {
  std::copy(gradient.begin(), gradient.end(), p.gradient().dense().data);
}

/// Mean squared error of a linear fit to a known line, after some steps.
template <class O>
double fit(const typename std::type_identity<O>::type::Options& options, int steps) {
  Rng rng{1};
  Linear<double> model(3, 2, rng);
  const Linear<double> truth(3, 2, rng);
  const Tensor<double> x = random_tensor({64, 3}, rng);
  O optimizer(parameters<double>(model), options);
  Tape<double> tape;
  double loss = 0;
  for (int i = 0; i < steps; ++i) {
    const auto xs = tape.constant(x);
    const auto error = mse(model(xs), stop_gradient(truth(xs)));
    loss = error.item();
    tape.backward(error);
    optimizer.step();
    tape.rewind();
  }
  return loss;
}

}  // namespace

TEST_CASE("optimizer: each of them fits a line") {
  CHECK(fit<SGD<double>>({.rate = 0.2, .momentum = 0.5}, 200) < 1e-8);
  CHECK(fit<SGD<double>>({.rate = 0.1, .momentum = 0.8, .nesterov = true}, 200) < 1e-8);
  CHECK(fit<RMSProp<double>>({.rate = 2e-3}, 1500) < 1e-4);
  CHECK(fit<Adagrad<double>>({.rate = 0.5}, 500) < 1e-8);
  CHECK(fit<Adam<double>>({.rate = 0.02}, 800) < 1e-8);
  CHECK(fit<AdamW<double>>({.rate = 0.02, .weight_decay = 0}, 800) < 1e-8);
}

TEST_CASE("optimizer: step returns the norm of all gradients, updates, and clears them") {
  Parameter<double> a(vector_of({1, 2})), b(vector_of({3}));
  SGD<double> sgd(List{&a, &b}, {.rate = 0.5});
  receive(a, {3, 0});
  receive(b, {4});
  CHECK(sgd.step() == doctest::Approx(5));
  CHECK(distance(a.value(), vector_of({-0.5, 2})) < 1e-15);
  CHECK(distance(b.value(), vector_of({1})) < 1e-15);
  CHECK(a.gradient().empty());
  CHECK(sgd.steps() == 1);
  CHECK(sgd.step() == 0);
  CHECK(distance(a.value(), vector_of({-0.5, 2})) < 1e-15);
}

TEST_CASE("optimizer: clip bounds the norm of all gradients together, and leaves a smaller one alone") {
  Parameter<double> a(vector_of({0, 0})), b(vector_of({0}));
  SGD<double> sgd(List{&a, &b}, {.rate = 1, .clip = 1});
  receive(a, {3, 0});
  receive(b, {4});
  CHECK(sgd.step() == doctest::Approx(5));
  CHECK(distance(a.value(), vector_of({-0.6, 0})) < 1e-15);
  CHECK(distance(b.value(), vector_of({-0.8})) < 1e-15);
  receive(a, {0.3, 0});
  receive(b, {0.4});
  sgd.step();
  CHECK(distance(a.value(), vector_of({-0.9, 0})) < 1e-15);
}

TEST_CASE("optimizer: clip_value bounds each element") {
  Parameter<double> a(vector_of({0, 0, 0, 0, 0, 0, 0, 0, 0}));
  SGD<double> sgd(List{&a}, {.rate = 1, .clip_value = 2});
  receive(a, {3, -5, 1, -1, 0, 2, -2, 7, -9});
  sgd.step();
  CHECK(distance(a.value(), vector_of({-2, 2, -1, 1, 0, -2, 2, -2, 2})) == 0);
}

TEST_CASE("optimizer: groups have a rate factor and a weight decay of their own") {
  Parameter<double> a(vector_of({1})), b(vector_of({1})), c(vector_of({1}));
  SGD<double> sgd(
      std::vector<ParameterGroup<double>>{
          {.parameters = {&a}}, {.parameters = {&b}, .rate_factor = 0.1}, {.parameters = {&c}, .weight_decay = 0}},
      {.rate = 1, .weight_decay = 0.5});
  for (Parameter<double>* p : {&a, &b, &c}) receive(*p, {1});
  sgd.step();
  CHECK(a.value()(0) == doctest::Approx(-0.5));
  CHECK(b.value()(0) == doctest::Approx(0.85));
  CHECK(c.value()(0) == doctest::Approx(0));
}

TEST_CASE("optimizer: a decoupled decay follows the rate, and a rate that is set is used") {
  Parameter<double> a(vector_of({2}));
  AdamW<double> adamw(List{&a}, {.rate = 1, .weight_decay = 0.1});
  adamw.set_rate(0.5);
  CHECK(adamw.rate() == 0.5);
  receive(a, {1});
  adamw.step();
  // Adam's first step is the rate in the direction of the gradient.
  CHECK(a.value()(0) == doctest::Approx(2 * (1 - 0.05) - 0.5).epsilon(1e-6));
}

TEST_CASE("optimizer: a frozen parameter stays, and counts in no norm") {
  Parameter<double> a(vector_of({1})), b(vector_of({1}));
  a.freeze();
  SGD<double> sgd(List{&a, &b}, {.rate = 1, .weight_decay = 0.5});
  receive(a, {100});
  receive(b, {1});
  CHECK(sgd.step() == 1);
  CHECK(a.value()(0) == 1);
  CHECK(b.value()(0) == doctest::Approx(-0.5));
}

TEST_CASE("optimizer: a gradient that is not finite changes nothing and is forgotten") {
  for (const double bad : {double(INFINITY), double(NAN)}) {
    Parameter<double> a(vector_of({1, 2})), b(vector_of({3}));
    Adam<double> adam(List{&a, &b}, {.rate = 0.1, .clip = 1});
    receive(a, {1, bad});
    receive(b, {1});
    CHECK_FALSE(std::isfinite(adam.step()));
    CHECK(distance(a.value(), vector_of({1, 2})) == 0);
    CHECK(distance(b.value(), vector_of({3})) == 0);
    CHECK(a.gradient().empty());
    CHECK(adam.steps() == 0);
    for (const auto& [name, kept] : adam.state().tensors)
      for (const double v : *kept) CHECK(v == 0);
    receive(b, {1});
    adam.step();
    CHECK(b.value()(0) == doctest::Approx(2.9));
  }
}

TEST_CASE("optimizer: the norm of finite gradients is finite, though their squares are beyond a float") {
  Parameter<float> a(Tensor<float>{1.0F, 2.0F});
  SGD<float> sgd({&a}, {.rate = 1, .clip = 1});
  Tape<> tape;
  tape.backward(sum(tape.use(a) * 3e30F));
  CHECK(sgd.step() == doctest::Approx(3e30 * std::sqrt(2.0)));
  CHECK(a.value()(0) == doctest::Approx(1 - std::sqrt(0.5)));
}

TEST_CASE("optimizer: without momentum nothing is kept") {
  Parameter<double> a(vector_of({1}));
  CHECK(SGD<double>(List{&a}, {}).state().tensors.empty());
  CHECK(SGD<double>(List{&a}, {.momentum = 0.5}).state().tensors.size() == 1);
}

TEST_CASE("optimizer: of an embedding only the rows that were looked up change, and their moments") {
  Rng rng{1};
  Embedding<double> embed(6, 3, rng);
  const Tensor<double> before = embed.table.value();
  Adam<double> adam(parameters<double>(embed), {.rate = 0.1, .weight_decay = 0.1});
  const std::vector<std::int32_t> ids{4, 1, -1, 4};
  Tape<double> tape;
  for (int i = 0; i < 3; ++i) {
    tape.backward(sum(square(embed(tape, ids, {4}))));
    adam.step();
    tape.rewind();
  }
  for (std::size_t r = 0; r < 6; ++r)
    for (std::size_t j = 0; j < 3; ++j) {
      const bool touched = r == 1 || r == 4;
      CHECK((embed.table.value()(r, j) != before(r, j)) == touched);
      CHECK(((*adam.state().tensors[0].second)(r, j) != 0) == touched);
    }
}

TEST_CASE("optimizer: workers share out the arrays and change no bit") {
  Rng rng{5};
  const Tensor<double> large = random_tensor({300, 1000}, rng), small = random_tensor({7}, rng),
                       rows = random_tensor({50, 3}, rng);
  const auto after = [&](int threads) {
    Parameter<double> a(large), b(small), c(rows);
    Adam<double> adam(List{&a, &b, &c}, {.rate = 0.1, .clip = 1.0});
    Workers workers(threads);
    double norm = 0;
    for (int i = 0; i < 3; ++i) {
      std::copy(large.begin(), large.end(), a.gradient().dense().data);
      std::copy(small.begin(), small.end(), b.gradient().dense().data);
      for (const Index r : {4, 17}) std::fill_n(c.gradient().row(r), 3, 0.5 * i + 1);
      norm = adam.step(threads > 1 ? &workers : nullptr);
    }
    std::vector<double> all{norm};
    for (const Parameter<double>* p : {&a, &b, &c}) all.insert(all.end(), p->value().begin(), p->value().end());
    return all;
  };
  const auto alone = after(1);
  CHECK(alone == after(2));
  CHECK(alone == after(5));
}

TEST_CASE("optimizer: its state is named by slot and path, and taking it over goes on as before") {
  Rng rng{1};
  Linear<double> a(3, 2, rng), b(3, 2, rng);
  for_each_parameter(a, [&](const std::string& path, const Parameter<double>& from) {
    for_each_parameter(b, [&](const std::string& other, Parameter<double>& to) {
      if (path == other) to.edit() = from.value();
    });
  });
  Adam<double> first(parameters<double>(a)), second(parameters<double>(b));
  const auto go = [&](Linear<double>& m, Adam<double>& adam, double x) {
    Tape<double> tape;
    tape.backward(sum(square(m(tape.filled({2, 3}, x)))));
    adam.step();
  };
  go(a, first, 1), go(a, first, -2);
  auto from = first.state(), to = second.state();
  REQUIRE(from.tensors.size() == 4);
  CHECK(from.tensors[0].first == "mean/weight");
  CHECK(from.tensors[3].first == "square/bias");
  for (std::size_t i = 0; i < 4; ++i) *to.tensors[i].second = *from.tensors[i].second;
  *to.steps = *from.steps;
  b.weight.edit() = a.weight.value();
  b.bias.edit() = a.bias.value();
  go(a, first, 0.5), go(b, second, 0.5);
  CHECK(distance(a.weight.value(), b.weight.value()) == 0);
  CHECK(distance(a.bias.value(), b.bias.value()) == 0);
}

TEST_CASE("optimizer: a weight average is the mean at first, forgets later, and swaps with the weights") {
  Parameter<double> p(vector_of({5}));
  WeightAverage<double> mean(List{&p}, 0), decayed(List{&p}, 0.5);
  double want = 0;
  for (const double x : {2.0, 4.0, 9.0}) {
    p.edit()(0) = x;
    mean.update();
    decayed.update();
    want = x == 2 ? 2 : 0.5 * want + 0.5 * x;
  }
  CHECK(mean.updates() == 3);
  mean.swap();
  CHECK(p.value()(0) == doctest::Approx(5));
  mean.swap();
  CHECK(p.value()(0) == 9);
  decayed.swap();
  CHECK(p.value()(0) == doctest::Approx(want));
  CHECK_THROWS_AS(WeightAverage<double>(List{&p}, 1), ValueError);
}

TEST_CASE("optimizer: options outside their domain and a parameter listed twice are errors") {
  Parameter<double> p(vector_of({1}));
  p.set_path("head/bias");
  CHECK_THROWS_WITH_AS(SGD<double>(List{&p}, {.rate = -1}), "optimizer: the rate -1 is negative", ValueError);
  CHECK_THROWS_WITH_AS(SGD<double>(List{&p}, {.clip = -1}), "optimizer: a bound of clipping is negative", ValueError);
  CHECK_THROWS_WITH_AS(Adam<double>(List{&p}, {.weight_decay = -1}), "optimizer: the weight decay -1 is negative",
                       ValueError);
  CHECK_THROWS_WITH_AS(Adam<double>(List{&p, &p}), "optimizer: parameter head/bias is listed twice", ValueError);
}
