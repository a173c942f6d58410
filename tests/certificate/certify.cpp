#include <certificate/planted.h>
#include <layers/numpy_parity.h>
#include <layers/torch_parity.h>

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>

#include <unroll/optim/optim.h>

// The certificate of every built-in cell and wrapper, and the faults that it must find.

using namespace unroll;

namespace {

struct Verdict {
  std::string name, kind;
  bool passed = true;
  std::vector<std::string> columns = {}, problems = {};
};

using Maker = std::function<AnyCell<double>(Index, Index, Rng&)>;

/// Outputs and gradients of the same program, one array after the other.
template <Real T, class L, class Outputs>
std::vector<Tensor<double>> program(L layer, const Shape& shape, Outputs outputs) {
  Rng rng{3};
  const Tensor<T> xs = init::normal<T>(shape, 1, rng);
  Tape<T> tape;
  const auto x = tape.variable(xs);
  const Var<T> y = outputs(layer, x);
  tape.backward(sum(y * y));
  std::vector<Tensor<double>> found{Tensor<double>(xt::cast<double>(y.value())),
                                    Tensor<double>(xt::cast<double>(x.grad()))};
  for_each_parameter(
      layer, [&](const std::string&, const Parameter<T>& p) { found.emplace_back(xt::cast<double>(p.grad())); });
  return found;
}

double worst_of(const std::vector<Tensor<double>>& a, const std::vector<Tensor<double>>& b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, distance(a[i], b[i]));
  return worst;
}

template <class L>
struct Model {
  L layer;
  Linear<> head;
  static void fields(auto& m, auto&& f) { f("layer", m.layer), f("head", m.head); }
};

/// The share of the first loss that is left after training on one batch of random targets, from `outputs` [rows,
/// width].
template <class L, class Outputs>
double overfit(L layer, const Shape& inputs, Index rows, Index width, Outputs outputs) {
  Rng rng{2};
  Model<L> model{std::move(layer), {width, 2, rng}};
  Adam adam(parameters(model), {.rate = 1e-2, .clip = 1.0});
  const Tensor<float> xs = init::normal<float>(inputs, 1, rng), targets = init::normal<float>({rows, 2}, 1, rng);
  Tape<> tape;
  double first = 0, last = 0;
  for (int step = 0; step < 500; ++step) {
    tape.rewind();
    const Var<> loss = sum(square(model.head(outputs(model.layer, tape.constant(xs))) - tape.constant(targets)));
    last = static_cast<double>(loss.item());
    if (step == 0) first = last;
    tape.backward(loss);
    adam.step();
  }
  return last / first;
}

void take(Verdict& v, const GradientReport& report) {
  v.passed = v.passed && report.passed;
  v.columns.push_back(fmt::format("{}", report.entries));
  v.columns.push_back(fmt::format("{:.1e}", std::max(report.worst.error, report.worst_projection)));
  v.problems.insert(v.problems.end(), report.problems.begin(), report.problems.end());
}

void require_below(Verdict& v, const char* what, double value, double limit) {
  v.columns.push_back(fmt::format("{:.1e}", value));
  if (value <= limit) return;
  v.passed = false;
  v.problems.push_back(fmt::format("{}: {:.3g} is above {:.1g}", what, value, limit));
}

constexpr double most_rounding = 1e-12, most_in_float = 1e-4, most_left = 1e-2;

template <class Make>
GradientReport over_cell(bool grid, Make make, const CellCheckOptions& options = {}) {
  return grid ? check_cell_on_grid(make, options) : check_cell(make, options);
}

Verdict certify_cell(const std::string& name, bool quick) {
  Verdict v{name, "cell"};
  const auto layer = [&]<Real T>(std::type_identity<T>, Index width) {
    Rng rng{3};
    return Recurrent<AnyCell<T>>(3, width, rng, name);
  };
  const auto outputs = [](const auto& l, auto x) { return l(x).outputs; };
  take(v, over_cell(!quick, [name](Index in, Index width, Rng& rng) { return AnyCell<double>(in, width, rng, name); }));
  require_below(v, "reference", numpy_parity::of_cell<double>(name).worst, most_rounding);
  if (std::ranges::find(torch_parity::cells, name) == torch_parity::cells.end())
    v.columns.push_back("");
  else
    require_below(v, "PyTorch", torch_parity::of_cell<double>(name).worst, most_rounding);
  const Shape shape{7, 5, 3};
  require_below(v, "float against double",
                worst_of(program<float>(layer(std::type_identity<float>{}, 8), shape, outputs),
                         program<double>(layer(std::type_identity<double>{}, 8), shape, outputs)),
                most_in_float);
  const auto small = layer(std::type_identity<float>{}, 16);
  require_below(v, "one batch",
                overfit(small, {6, 4, 3}, 4, small.width(), [](const auto& l, auto x) { return l(x).outputs[5]; }),
                most_left);
  return v;
}

/// A layer over trees. make(rng, scalar) builds it.
template <class Make>
Verdict certify_tree(const char* name, const char* file, Make make) {
  Verdict v{name, "cell"};
  Rng rng{3};
  const StoredReference f(std::string("tree_") + file);
  const Forest forest = numpy_parity::forest_of(f);
  const Shape shape{forest.size(), 3};
  const auto hidden = [&](const auto& l, auto x) { return l(x, forest).nodes.h; };
  auto in_double = make(std::type_identity<double>{}, 5);
  Parameter<double> xs(init::normal<double>(shape, 1, rng));
  auto listed = parameters<double>(in_double);
  listed.push_back(&xs);
  take(v, check_gradients(
              [&](Tape<double>& tape) {
                const auto [h, c] = in_double(tape.use(xs), forest).nodes;
                return sum(square(h + 0.3)) + sum(exp(c));
              },
              listed));
  require_below(v, "reference", numpy_parity::of_tree(in_double, file).worst, most_rounding);
  v.columns.push_back("");
  require_below(v, "float against double",
                worst_of(program<float>(make(std::type_identity<float>{}, 5), shape, hidden),
                         program<double>(make(std::type_identity<double>{}, 5), shape, hidden)),
                most_in_float);
  require_below(v, "one batch",
                overfit(make(std::type_identity<float>{}, 16), shape, static_cast<Index>(forest.roots().size()), 16,
                        [&](const auto& l, auto x) { return l(x, forest).roots.h; }),
                most_left);
  return v;
}

struct Wrapped {
  const char* name;
  GradientReport (*check)(bool grid);
};

template <class Wrap>
GradientReport over_cells(bool grid, Wrap wrap, const CellCheckOptions& options = {}) {
  GradientReport report = over_cell(
      grid, [wrap](Index in, Index width, Rng& rng) { return wrap(GRUCell<double>(in, width, rng)); }, options);
  detail::merge(
      report,
      over_cell(
          grid, [wrap](Index in, Index width, Rng& rng) { return wrap(LSTMCell<double>(in, width, rng)); }, options),
      "lstm");
  return report;
}
template <class L>
GradientReport over_layer(bool grid, L layer, Index in = 3) {
  GradientReport report = check_layer("layer", layer, {.in = in});
  for (const Index time : {1, 2, 7})
    for (const Index batch : {1, 5})
      if (grid && report)
        detail::merge(report, check_layer("layer", layer, {.in = in, .time = time, .batch = batch}),
                      fmt::format("{} steps of {} rows", time, batch));
  return report;
}

Rng& rng() {
  static Rng source{3};
  return source;
}

constexpr std::array wrappers{
    Wrapped{"learned initial state",
            [](bool g) { return over_cells(g, [](auto c) { return LearnedInitial(std::move(c)); }); }},
    Wrapped{"zoneout",
            [](bool g) { return over_cells(g, [](auto c) { return Zoneout(std::move(c), 0.3); }, {.random = true}); }},
    Wrapped{"recurrent dropout",
            [](bool g) {
              return over_cells(g, [](auto c) { return RecurrentDropout(std::move(c), 0.3); }, {.random = true});
            }},
    Wrapped{"variational dropout",
            [](bool g) {
              return over_cells(g, [](auto c) { return VariationalDropout(std::move(c), 0.3); }, {.random = true});
            }},
    Wrapped{
        "dropconnect",
        [](bool g) { return over_cells(g, [](auto c) { return DropConnect(std::move(c), 0.3); }, {.random = true}); }},
    Wrapped{"skipped steps",
            [](bool g) {
              return over_cell(
                  g, [](Index in, Index width, Rng& r) { return SkipSteps(LSTMCell<double>(in - 1, width, r)); },
                  {.in = 4});
            }},
    Wrapped{"reversed", [](bool g) { return over_layer(g, Reversed<LSTM<double>>(3, 4, rng())); }},
    Wrapped{"residual", [](bool g) { return over_layer(g, Residual<LSTM<double>>(4, 4, rng()), 4); }},
    Wrapped{"residual with a shortcut", [](bool g) { return over_layer(g, Residual<LSTM<double>>(3, 4, rng())); }},
    Wrapped{"highway", [](bool g) { return over_layer(g, Highway<LSTM<double>>(3, 4, rng())); }},
    Wrapped{"normalized outputs", [](bool g) { return over_layer(g, Normalized<LSTM<double>>(3, 4, rng())); }},
    Wrapped{"bidirectional, sum",
            [](bool g) {
              return over_layer(g, Bidirectional(LSTM<double>(3, 4, rng()), LSTM<double>(3, 4, rng()), Merge::sum));
            }},
    Wrapped{"bidirectional, mean",
            [](bool g) {
              return over_layer(g, Bidirectional(LSTM<double>(3, 4, rng()), LSTM<double>(3, 4, rng()), Merge::mean));
            }},
    Wrapped{"stack, residual, normalized, both directions",
            [](bool g) {
              return over_layer(g, Stacked<Residual<Normalized<Bidirectional<GRU<double>>>>>(3, 4, 2, rng()));
            }},
    Wrapped{"checkpointed", [](bool g) { return over_layer(g, Checkpointed(LSTMCell<double>(3, 4, rng()), 2)); }},
};

using planted::Fault;
Verdict find_fault(const Fault& fault) {
  Verdict v{fault.what, "fault"};
  const GradientReport report = fault.check();
  v.passed = !report.passed;
  v.columns = {fault.where, report.passed ? "nothing" : report.problems.front()};
  if (report.passed) v.problems.push_back("the certificate did not find it");
  return v;
}

/// One fault has a right gradient, of another function than it says: only the reference can find that.
Verdict find_another_function() {
  Verdict v{"a peephole added behind its gate: the right gradient of another function", "fault"};
  const StoredReference f("cell_lstm-peephole");
  Rng r;
  Recurrent<planted::PeepholeBehindGate<double>> layer(shape_of(f.at("x"))[2], shape_of(f.at("y"))[2], r);
  for_each_parameter(layer.cell,
                     [&](const std::string& path, Parameter<double>& p) { p.edit() = f.at("param/" + path); });
  Tape<double> tape;
  const auto start = HiddenAndCell<double>{tape.constant(f.at("s0")), tape.constant(f.at("s1"))};
  const double d = distance(layer(tape.constant(f.at("x")), start).outputs.value(), f.at("y"));
  v.passed = d > 1e-3 && check_cell<planted::PeepholeBehindGate>().passed;
  v.columns = {"Lasagne/Lasagne #448", fmt::format("reference: outputs differ by {:.2g}", d)};
  return v;
}

std::string page(const std::vector<Verdict>& verdicts) {
  std::string text =
      "# Certificates\n\nWritten by `./run certify`. Gradients: central differences in double over 1, 2, 6 and 7 "
      "steps, 1, 3 "
      "and 5 rows, one\nlayer and three, both directions, equal and ragged lengths with empty rows, default, given and "
      "learned "
      "initial states, a\nbatch against its rows, NaN in the padding, streaming and chunks; entries compared and the "
      "worst "
      "relative error. Reference:\nNumPy from the papers' equations, gradients by complex steps "
      "(`tests/fixtures/make_numpy_fixtures.py`). One batch: what is\nleft of the loss after 500 steps on random "
      "targets.\n\n"
      "## Cells\n\n| cell | verdict | entries | worst | reference | PyTorch | float | one batch |\n| --- | --- | --: | "
      "--: | --: | --: "
      "| --: | --: |\n";
  const auto rows = [&](const char* kind) {
    for (const Verdict& v : verdicts) {
      if (v.kind != kind) continue;
      text += fmt::format("| {} | {} | {} |\n", v.name, v.passed ? (v.kind == "fault" ? "found" : "pass") : "FAIL",
                          fmt::join(v.columns, " | "));
    }
  };
  rows("cell");
  text +=
      "\n## Wrappers\n\nOver LSTM, and those of cells over GRU too.\n\n| wrapper | verdict | entries | worst |\n| --- "
      "| --- | --: | --: |\n";
  rows("wrapper");
  text +=
      "\n## Planted faults\n\nEach is a bug that a library has published; the certificate must find it.\n\n"
      "| fault | verdict | published in | what found it |\n| --- | --- | --- | --- |\n";
  rows("fault");
  return text;
}

/// The verdict of each name in a page.
std::map<std::string, std::string> verdicts_in(const std::string& text) {
  std::map<std::string, std::string> found;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto a = line.find(" | "), b = a == std::string::npos ? a : line.find(" |", a + 3);
    if (line.starts_with("| ") && b != std::string::npos) found[line.substr(2, a - 2)] = line.substr(a + 3, b - a - 3);
  }
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Certify the built-in cells and wrappers.", "certify"};
  std::string only, write, expect;
  bool quick = false;
  app.add_option("--cell", only, "only this cell")->check(CLI::IsMember(cell_names()));
  app.add_flag("--quick", quick, "6 steps of 3 rows alone");
  app.add_option("--write", write, "page to write");
  app.add_option("--expect", expect, "page whose verdicts must be the same");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) { return app.exit(error) == 0 ? 0 : 2; }
  std::vector<Verdict> verdicts;
  bool passed = true;
  const auto add = [&](Verdict v) {
    fmt::print("{:<52} {:<5} {}\n", v.name, v.passed ? "ok" : "FAIL", fmt::join(v.columns, "  "));
    for (const std::string& p : v.problems) fmt::print("    {}\n", p);
    std::fflush(stdout);
    passed = passed && v.passed;
    verdicts.push_back(std::move(v));
  };
  try {
    for (const std::string& name : cell_names())
      if (only.empty() || only == name) add(certify_cell(name, quick));
    if (only.empty()) {
      Rng seed{3};
      add(certify_tree("tree-lstm, child-sum", "child-sum", [&]<Real T>(std::type_identity<T>, Index width) {
        Rng r = seed;
        return ChildSumTreeLSTM<T>(3, width, r);
      }));
      add(certify_tree("tree-lstm, binary", "nary", [&]<Real T>(std::type_identity<T>, Index width) {
        Rng r = seed;
        return NaryTreeLSTM<T>(3, width, 2, r);
      }));
      for (const Wrapped& w : wrappers) {
        Verdict v{w.name, "wrapper"};
        take(v, w.check(!quick));
        add(std::move(v));
      }
      for (const Fault& fault : planted::faults) add(find_fault(fault));
      add(find_another_function());
    }
    if (!write.empty()) std::ofstream(write) << page(verdicts);
    if (!expect.empty()) {
      std::ifstream in(expect);
      const auto want = verdicts_in(std::string(std::istreambuf_iterator<char>(in), {}));
      for (const auto& [name, verdict] : verdicts_in(page(verdicts))) {
        const auto found = want.find(name);
        if (found != want.end() && found->second == verdict) continue;
        fmt::print("certify: {} is \"{}\", {} says \"{}\"\n", name, verdict, expect,
                   found == want.end() ? "nothing" : found->second);
        passed = false;
      }
    }
  } catch (const std::exception& error) {
    std::cerr << "certify: " << error.what() << "\n";
    return 1;
  }
  return passed ? 0 : 1;
}
