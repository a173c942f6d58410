#include <filesystem>

#include <layers/compare.h>

using namespace unroll;

// What follows from `fields`, and the initial values.

namespace {

struct Tagger {
  Embedding<double> words;
  Bidirectional<LSTM<double>> context;
  std::optional<LayerNorm<double>> norm;
  std::vector<Linear<double>> heads;

  explicit Tagger(Rng& rng, bool normed = true, Index width = 4, int count = 2)
      : words(10, 3, rng), context(3, width, rng) {
    if (normed) norm.emplace(2 * width);
    for (int i = 0; i < count; ++i) heads.emplace_back(2 * width, 5, rng);
  }
  static void fields(auto& m, auto&& f) {
    f("words", m.words), f("context", m.context), f("norm", m.norm), f("heads", m.heads);
  }
};

/// Two names for one table.
struct Tied {
  Embedding<double> table;
  static void fields(auto& m, auto&& f) { f("in", m.table), f("out", m.table); }
};

std::filesystem::path file(const char* name) { return std::filesystem::temp_directory_path() / name; }

template <class M>
std::vector<double> all_values(const M& model) {
  std::vector<double> values;
  for_each_parameter(model, [&](const std::string&, const auto& p) {
    values.insert(values.end(), p.value().begin(), p.value().end());
  });
  return values;
}

std::string load_error(Tagger& model, const std::filesystem::path& from) {
  const auto before = all_values(model);
  try {
    load(model, from);
  } catch (const FileError& e) {
    CHECK(all_values(model) == before);
    return e.what();
  }
  return "nothing was thrown";
}

double moment(const Tensor<double>& t, int power) {
  double total = 0;
  for (const double v : t) total += std::pow(v, power);
  return total / static_cast<double>(t.size());
}

/// Largest deviation of the gate's columns, or rows if they are fewer, from an orthonormal set.
double deviation_from_orthonormal(const Tensor<double>& t, Index gates) {
  const Index rows = shape_of(t)[0], all = shape_of(t)[1], cols = all / gates;
  double worst = 0;
  for (Index g = 0; g < gates; ++g)
    for (Index a = 0; a < std::min(rows, cols); ++a)
      for (Index b = 0; b <= a; ++b) {
        double dot = 0;
        for (Index k = 0; k < std::max(rows, cols); ++k)
          dot += rows <= cols ? t.data()[a * all + g * cols + k] * t.data()[b * all + g * cols + k]
                              : t.data()[k * all + g * cols + a] * t.data()[k * all + g * cols + b];
        worst = std::max(worst, std::abs(dot - (a == b ? 1 : 0)));
      }
  return worst;
}

}  // namespace

TEST_CASE("model: names follow the fields, lists are numbered, an empty optional is left out") {
  Rng rng{1};
  Tagger model(rng);
  std::vector<std::string> names;
  for (const auto* p : parameters<double>(model)) names.push_back(p->path());
  CHECK(names == std::vector<std::string>{"words/table", "context/forward/cell/input/weight",
                                          "context/forward/cell/input/bias", "context/forward/cell/recurrent/weight",
                                          "context/backward/cell/input/weight", "context/backward/cell/input/bias",
                                          "context/backward/cell/recurrent/weight", "norm/gain", "norm/bias",
                                          "heads/0/weight", "heads/0/bias", "heads/1/weight", "heads/1/bias"});
  Tagger plain(rng, false, 4, 0);
  CHECK(parameters<double>(plain).size() == 7);
}

TEST_CASE("model: parameters are counted and listed in a table") {
  Rng rng{1};
  Tagger model(rng);
  CHECK(count_parameters(model) == 30 + 2 * (3 * 16 + 16 + 4 * 16) + 16 + 2 * (8 * 5 + 5));
  model.words.table.freeze();
  const std::string table = describe(model);
  CHECK(table.find("words/table                              [10, 3]                    30  frozen\n") == 0);
  CHECK(table.find("heads/1/bias") != std::string::npos);
  CHECK(table.find("total") != std::string::npos);
  CHECK(table.ends_with(fmt::format("{}\n", count_parameters(model))));
}

TEST_CASE("model: a parameter with two names is listed once") {
  Rng rng{1};
  Tied model{Embedding<double>(5, 2, rng)};
  REQUIRE(parameters<double>(model).size() == 1);
  CHECK(model.table.table.path() == "in/table");
  CHECK(count_parameters(model) == 10);
}

TEST_CASE("model: a frozen parameter takes part and receives nothing") {
  Rng rng{1};
  Linear<double> layer(3, 2, rng);
  layer.weight.freeze();
  Tape<double> tape;
  const auto x = tape.variable(random_tensor({4, 3}, rng));
  tape.backward(sum(layer(x)));
  CHECK(layer.weight.gradient().empty());
  CHECK_FALSE(layer.bias.gradient().empty());
  CHECK(xt::amax(xt::abs(x.grad()))() > 0);
}

TEST_CASE("model: sequential applies its layers in order and lists them by number") {
  Rng rng{1};
  Sequential net(Linear<double>(3, 6, rng), Function{[](auto x) { return tanh(x); }}, Dropout{0.5},
                 Linear<double>(6, 2, rng));
  CHECK(parameters<double>(net).size() == 4);
  CHECK(parameters<double>(net)[2]->path() == "3/weight");
  auto tape = Tape<double>::inference();
  const auto x = tape.constant(random_tensor({4, 3}, rng));
  const Var<double> got = net(x);
  const Var<double> want = std::get<3>(net.layers)(tanh(std::get<0>(net.layers)(x)));
  CHECK(distance(got.value(), want.value()) == 0);
}

TEST_CASE("model: what was saved is loaded, metadata too") {
  Rng rng{1};
  Tagger saved(rng), loaded(rng);
  REQUIRE(all_values(saved) != all_values(loaded));
  const auto path = file("unroll_model_test.safetensors");
  save(saved, path, {{"epoch", "7"}});
  const auto version = loaded.words.table.version();
  CHECK(load(loaded, path).at("epoch") == "7");
  CHECK(all_values(saved) == all_values(loaded));
  CHECK(loaded.words.table.version() > version);
  std::filesystem::remove(path);
}

TEST_CASE("model: a file that does not fit is refused by name, and the model stays as it was") {
  Rng rng{1};
  const auto path = file("unroll_model_test_misfit.safetensors");
  const std::string name = path.string();
  Tagger model(rng);
  save(Tagger(rng, true, 4, 1), path);
  CHECK(load_error(model, path) == fmt::format("load: {} has no entry heads/1/weight", name));
  save(Tagger(rng, true, 4, 3), path);
  CHECK(load_error(model, path) == fmt::format("load: {} has an entry heads/2/bias that the model has not", name));
  save(Tagger(rng, true, 6), path);
  CHECK(load_error(model, path) == fmt::format("load: entry context/forward/cell/input/weight of {} has shape [3, 24], "
                                               "the model [3, 16]",
                                               name));
  std::filesystem::remove(path);
  CHECK(load_error(model, path).find(name) != std::string::npos);
}

TEST_CASE("init: orthogonal matrices are orthonormal, gate by gate, wide and tall") {
  Rng rng{1};
  CHECK(deviation_from_orthonormal(init::orthogonal<double>({40, 40}, rng), 1) < 1e-13);
  CHECK(deviation_from_orthonormal(init::orthogonal<double>({16, 64}, rng, 4), 4) < 1e-13);
  CHECK(deviation_from_orthonormal(init::orthogonal<double>({9, 30}, rng, 2), 2) < 1e-13);
  CHECK(deviation_from_orthonormal(init::orthogonal<double>({30, 9}, rng), 1) < 1e-13);
  CHECK_THROWS_AS(init::orthogonal<double>({4, 9}, rng, 4), ShapeError);
}

TEST_CASE("init: xavier, he, uniform and normal have the moments of their formulas") {
  Rng rng{2};
  const auto x = init::xavier<double>({100, 800}, rng, 4);
  CHECK(std::abs(moment(x, 1)) < 1e-3);
  CHECK(moment(x, 2) == doctest::Approx(2.0 / 300).epsilon(0.02));
  CHECK(xt::amax(xt::abs(x))() <= std::sqrt(6.0 / 300));
  const auto h = init::he<double>({200, 300}, rng);
  CHECK(std::abs(moment(h, 1)) < 2e-3);
  CHECK(moment(h, 2) == doctest::Approx(0.01).epsilon(0.03));
  CHECK(moment(h, 4) == doctest::Approx(3e-4).epsilon(0.1));
  CHECK(moment(init::uniform<double>({50000}, 0.3, rng), 2) == doctest::Approx(0.03).epsilon(0.02));
  CHECK(moment(init::normal<double>({50000}, 2, rng), 2) == doctest::Approx(4).epsilon(0.03));
  CHECK(init::identity<double>(3, 0.5)(2, 2) == 0.5);
  CHECK(xt::sum(init::identity<double>(3, 0.5))() == 1.5);
}

TEST_CASE("init: the forget bias of an lstm is 1, its other biases are 0, its gates orthogonal") {
  Rng rng{1};
  const LSTMCell<double> cell(3, 4, rng);
  for (std::size_t j = 0; j < 16; ++j) CHECK(cell.input.bias.value()(j) == (j / 4 == 1 ? 1 : 0));
  CHECK(deviation_from_orthonormal(cell.recurrent.weight.value(), 4) < 1e-13);
}

TEST_CASE("init: the same seed gives the same model") {
  Rng a{5}, b{5}, c{6};
  CHECK(all_values(Tagger(a)) == all_values(Tagger(b)));
  CHECK(all_values(Tagger(a)) != all_values(Tagger(c)));
}
