#pragma once

#include <unroll/autograd/check/gradients.h>
#include <unroll/layers/rnn.h>
#include <unroll/layers/wrappers/learned_initial.h>

// The certificate of a recurrent cell, in one line of a test:
//   CHECK(check_cell<MGUCell>({.in = 3, .width = 4}));

namespace unroll::inline UNROLL_ISA {

struct CellCheckOptions {
  Index in = 3, width = 4;
  Index time = 6, batch = 3;
  bool grid = false;           // also 1, 2 and 7 steps, of 1 row and of 5, and a learned initial state
  double tolerance = 1e-6;     // of gradients; see GradientCheckOptions
  double agreement = 1e-12;    // of values that must be the same to rounding
  bool timed = false;          // step depends on its index: streaming and chunks, which restart it, are not compared
  bool may_be_unused = false;  // a parameter that changes nothing is no failure
  bool random = false;         // masks are drawn while training: only gradients and padding are compared
  std::uint64_t seed = 1;      // of weights, inputs and states
};

namespace detail {

/// One layer that unrolls a cell.
template <class L>
class LayerCheck {
  using State = typename L::State;
  using Lengths = std::span<const Index>;
  static constexpr int most_failures = 2;  // told of one comparison

 public:
  LayerCheck(std::string name, L layer, const CellCheckOptions& options, GradientReport& report)
      : time(options.time),
        batch(options.batch),
        name_(std::move(name)),
        layer_(std::move(layer)),
        options_(options),
        report_(report),
        rng_(options.seed + 1) {
    xs_ = random({time, batch, options.in}, "inputs");
    Tape<double> tape = Tape<double>::inference();
    const State own = layer_.initial(tape, batch);
    for_each_var(own, [&](const Var<double>& v) {
      start_.push_back(random(v.shape(), fmt::format("initial state {}", start_.size())));
      weights_.push_back(random(v.shape(), "").value());
    });
    weights_.push_back(random({time, batch, layer_.width()}, "").value());
    listed_ = parameters<double>(layer_);
  }

  /// Whether the gradients alone agree, of sequences of equal length.
  bool gradients_agree() {
    gradients({}, true);
    return report_.passed;
  }

  void run() {
    std::vector<Index> unsorted, short_and_none;
    for (Index b = 0; b < batch; ++b) {
      unsorted.push_back(b % 3 == 1 ? time : 1 + b * 2 % time);
      short_and_none.push_back(b % 3 == 1 ? time : b % 3 == 0 ? time / 2 : 0);
    }
    attempt("equal lengths, default state", [&] { gradients({}, false); });
    attempt("equal lengths, given state", [&] { gradients({}, true); });
    attempt("ragged, default state", [&] { gradients(unsorted, false); });
    attempt("ragged, given state", [&] { gradients(short_and_none, true); });
    for (const bool given : {false, true})
      for (const Lengths lengths : {Lengths(unsorted), Lengths(short_and_none)}) {
        if (!options_.random) attempt("a batch and its rows one by one", [&] { singles(lengths, given); });
        attempt("padding", [&] { padding(lengths, given); });
      }
    if constexpr (requires { requires LinearCell<decltype(layer_.cell)>; })
      for (const Lengths lengths : {Lengths(), Lengths(unsorted), Lengths(short_and_none)})
        attempt("scan and loop", [&] { scan_and_loop(lengths); });
    if (options_.timed || options_.random) return;
    if constexpr (requires(Var<double> x, const State& s) { layer_.step(x, s); }) {
      attempt("streaming", [&] { streaming(); });
      attempt("chunks", [&] { chunks(); });
    }
  }

 private:
  Parameter<double> random(const Shape& shape, std::string path) {
    Parameter<double> p(init::normal<double>(shape, 0.7, rng_));
    p.set_path(std::move(path));
    return p;
  }
  template <class F>
  void attempt(const std::string& what, F f) {
    what_ = what;
    failures_ = 0;
    try {
      f();
    } catch (const Error& e) { fail(fmt::format("threw \"{}\"", e.what())); }
  }
  void fail(const std::string& problem) {
    report_.passed = false;
    if (++failures_ <= most_failures) report_.problems.push_back(fmt::format("{}: {}: {}", name_, what_, problem));
  }
  void expect_same(const char* of, const Var<double>& got, const Var<double>& want) {
    if (got.shape() != want.shape()) return fail(fmt::format("{}: {} and {}", of, got.shape(), want.shape()));
    const View<const double> a = values(unroll::contiguous(got)), b = values(unroll::contiguous(want));
    expect_same(of, std::span(a.data, static_cast<std::size_t>(a.size())),
                std::span(b.data, static_cast<std::size_t>(b.size())));
  }
  void expect_same(const std::string& of, std::span<const double> a, std::span<const double> b) {
    for (std::size_t i = 0; i < a.size(); ++i)
      if (!(std::abs(a[i] - b[i]) <= options_.agreement * std::max(1.0, std::abs(b[i]))))
        return fail(fmt::format("{}: element {} is {:.15g} and {:.15g}", of, i, a[i], b[i]));
  }

  State given_state(Tape<double>& tape) const {
    std::size_t k = 0;
    return map_vars(layer_.initial(tape, batch), [&](Var<double>) { return tape.use(start_[k++]); });
  }
  Unrolled<double, State> unroll(Tape<double>& tape, Lengths lengths, bool given) const {
    const Var<double> xs = tape.use(xs_);
    return given ? layer_(xs, given_state(tape), lengths) : layer_(xs, lengths);
  }
  Var<double> loss(Tape<double>& tape, Lengths lengths, bool given) const {
    const auto unrolled = unroll(tape, lengths, given);
    Var<double> total = unroll::sum(unrolled.outputs * tape.constant(weights_.back()));
    std::size_t k = 0;
    for_each_var(unrolled.last,
                 [&](const Var<double>& v) { total = total + unroll::sum(v * tape.constant(weights_[k++])); });
    return total;
  }
  std::vector<Parameter<double>*> watched(bool given) {
    auto all = listed_;
    all.push_back(&xs_);
    if (given)
      for (Parameter<double>& p : start_) all.push_back(&p);
    return all;
  }

  void gradients(Lengths lengths, bool given) {
    const GradientReport r =
        check_gradients([&](Tape<double>& tape) { return loss(tape, lengths, given); }, watched(given),
                        {.tolerance = options_.tolerance, .may_be_unused = given || options_.may_be_unused});
    report_.entries += r.entries;
    report_.worst_projection = std::max(report_.worst_projection, r.worst_projection);
    if (r.worst.error >= report_.worst.error) report_.worst = r.worst;
    for (auto problem = r.problems.rbegin(); problem != r.problems.rend(); ++problem) fail(*problem);
  }

  void scan_and_loop(Lengths lengths) {
    L loop = layer_;
    loop.scan = false;
    Tape<double> tape;
    const Var<double> xs = tape.use(xs_);
    const State start = given_state(tape);
    const auto a = layer_(xs, start, lengths), b = loop(xs, start, lengths);
    expect_same("outputs", a.outputs, b.outputs);
    int k = 0;
    for_each_var(b.last, [&](const Var<double>& v) { expect_same("last state", nth_var<double>(a.last, k++), v); });
  }

  void singles(Lengths lengths, bool given) {
    Tape<double> tape;
    const auto all = unroll(tape, lengths, given);
    for (Index b = 0; b < batch; ++b) {
      const Index n = lengths[static_cast<std::size_t>(b)];
      const auto row = [b](Var<double> v, int axis) { return unroll::slice(v, axis, b, b + 1); };
      const Var<double> xs = row(unroll::slice(tape.use(xs_), 0, 0, n), 1);
      const State start =
          given ? map_vars(given_state(tape), [&](Var<double> v) { return row(v, 0); }) : layer_.initial(tape, 1);
      const auto one = layer_(xs, start);
      expect_same("outputs", row(unroll::slice(all.outputs, 0, 0, n), 1), one.outputs);
      int k = 0;
      for_each_var(one.last,
                   [&](const Var<double>& v) { expect_same("last state", row(nth_var<double>(all.last, k++), 0), v); });
    }
  }

  void padding(Lengths lengths, bool given) {
    std::vector<std::vector<double>> kept;
    const auto collect = [&] {
      Tape<double> tape;
      Gradients<double> found;
      const auto unrolled = unroll(tape, lengths, given);
      const View<const double> y = values(unrolled.outputs);
      kept.emplace_back(y.data, y.data + y.size());
      // Without a step and a given state nothing is computed that could have a gradient.
      if (!given && std::ranges::all_of(lengths, [](Index n) { return n == 0; })) return;
      tape.backward(loss(tape, lengths, given), found);
      for (const Parameter<double>* p : watched(given)) {
        const Tensor<double>& g = found.of(*p).values();
        kept.emplace_back(g.begin(), g.end());
      }
    };
    collect();
    const Tensor<double> before = xs_.value();
    const std::size_t count = kept.size();
    for_padding(lengths, options_.in,
                [&](Index at) { xs_.edit().data()[at] = std::numeric_limits<double>::quiet_NaN(); });
    collect();
    xs_.edit() = before;
    expect_same("outputs change with what the padding holds", kept[count], kept[0]);
    for (std::size_t i = 1; i < count; ++i)
      expect_same(fmt::format("the gradient of {} changes with what the padding holds", watched(given)[i - 1]->path()),
                  kept[count + i], kept[i]);
    for_padding(lengths, layer_.width(), [&](Index at) {
      if (kept[0][static_cast<std::size_t>(at)] != 0) fail(fmt::format("output element {} is not 0", at));
    });
  }
  template <class F>
  void for_padding(Lengths lengths, Index width, F f) const {
    for (Index t = 0; t < time; ++t)
      for (Index b = 0; b < batch; ++b)
        for (Index j = 0; t >= lengths[static_cast<std::size_t>(b)] && j < width; ++j) f((t * batch + b) * width + j);
  }

  void streaming() {
    Tape<double> tape;
    const auto all = unroll(tape, {}, true);
    State state = given_state(tape);
    for (Index t = 0; t < time; ++t) {
      state = layer_.step(tape.use(xs_)[t], state);
      expect_same("outputs", all.outputs[t], top_of<double>(state));
    }
    int k = 0;
    for_each_var(state, [&](const Var<double>& v) { expect_same("last state", nth_var<double>(all.last, k++), v); });
  }

  void chunks() {
    Tape<double> whole, tape;
    const auto all = unroll(whole, {}, true);
    State state = given_state(tape);
    const Index most = std::max<Index>(1, time / 2);
    for (Index first = 0; first < time; first += most) {
      const Index last = std::min(time, first + most);
      const auto part = layer_(unroll::slice(tape.use(xs_), 0, first, last), state);
      for (Index t = first; t < last; ++t) expect_same("outputs", part.outputs[t - first], all.outputs[t]);
      state = tape.restart(part.last);
    }
  }

  const Index time, batch;
  std::string name_, what_;
  int failures_ = 0;
  L layer_;
  const CellCheckOptions& options_;
  GradientReport& report_;
  Rng rng_;
  Parameter<double> xs_;
  std::vector<Parameter<double>> start_;
  std::vector<Tensor<double>> weights_;
  std::vector<Parameter<double>*> listed_;
};

/// Where a cell that fails first goes wrong, in a sentence.
template <class Make>
std::string first_wrong(Make make, const CellCheckOptions& options) {
  for (Index time = 1; time <= options.time; ++time) {
    GradientReport probe;
    CellCheckOptions one = options;
    one.time = time;
    Rng rng(options.seed);
    try {
      Recurrent layer(make(options.in, options.width, rng));
      if (LayerCheck("", std::move(layer), one, probe).gradients_agree()) continue;
    } catch (const Error&) { continue; }
    if (time == 1) return "wrong for a single step already: look at the derivatives of `step` and `project` themselves";
    return fmt::format(
        "right for {} step{} and wrong for {}: look at the path through the state, and at what is kept from step to "
        "step",
        time - 1, time == 2 ? "" : "s", time);
  }
  return "";
}

/// The checks of check_cell for one number of steps and rows.
template <class Make>
GradientReport check_extents(Make make, const CellCheckOptions& options) {
  using Layer = Recurrent<std::invoke_result_t<Make, Index, Index, Rng&>>;
  using Both = Bidirectional<Layer>;
  GradientReport report;
  Rng rng(options.seed);
  const auto one = [&](Index in) { return Layer(make(in, options.width, rng)); };
  const auto both = [&](Index in) {
    Layer forward = one(in);
    return Both(std::move(forward), one(in));
  };
  const auto stack_of = [&]<class L>(std::type_identity<L>, auto layer) {
    std::vector<L> layers;
    for (int i = 0; i < 3; ++i) layers.push_back(layer(i == 0 ? options.in : layers.back().width()));
    return Stacked<L>(std::move(layers));
  };
  // A fault of one layer would only be repeated by those made of it.
  LayerCheck("one layer", one(options.in), options, report).run();
  if constexpr (LinearCell<decltype(Layer::cell)>) {
    Layer looped = one(options.in);
    looped.scan = false;
    if (report && is_linear(looped.cell)) LayerCheck("one layer, looped", looped, options, report).run();
  }
  if (!report) {
    if (const std::string where = first_wrong(make, options); !where.empty()) report.problems.push_back(where);
    return report;
  }
  LayerCheck("both directions", both(options.in), options, report).run();
  LayerCheck("three layers", stack_of(std::type_identity<Layer>{}, one), options, report).run();
  if (!report) return report;
  LayerCheck("three layers of both directions", stack_of(std::type_identity<Both>{}, both), options, report).run();
  return report;
}

/// Adds what was found elsewhere to a report.
inline void merge(GradientReport& report, const GradientReport& other, const std::string& where) {
  report.passed = report.passed && other.passed;
  report.entries += other.entries;
  report.worst_projection = std::max(report.worst_projection, other.worst_projection);
  if (other.worst.error > report.worst.error) report.worst = other.worst;
  for (const std::string& problem : other.problems) report.problems.push_back(where + ": " + problem);
}

}  // namespace detail

/// Certifies one sequence layer of `options.in` features, as check_cell does; `name` goes into the report.
template <class L>
GradientReport check_layer(std::string name, L layer, const CellCheckOptions& options = {}) {
  GradientReport report;
  detail::LayerCheck(std::move(name), std::move(layer), options, report).run();
  return report;
}

/// Certifies the cell that make(in, width, rng) builds, in double. It is unrolled alone, in both directions, and in
/// three layers (of one direction and of both), over equal and ragged lengths (rows of no step among them), from its
/// own and from given initial states. All gradients (parameters, inputs, initial states) of a random projection of
/// outputs and last states must agree with differences; a batch must equal its rows one by one, NaN in the padding must
/// change nothing, streaming and truncated chunks must equal the long run. The report names what failed, and where.
template <class Make>
  requires std::invocable<Make, Index, Index, Rng&>
GradientReport check_cell(Make make, const CellCheckOptions& options = {}) {
  GradientReport report = detail::check_extents(make, options);
  if (!options.grid) return report;
  for (const Index time : {1, 2, 7})
    for (const Index batch : {1, 5}) {
      if (!report) return report;
      CellCheckOptions one = options;
      one.time = time;
      one.batch = batch;
      detail::merge(report, detail::check_extents(make, one), fmt::format("{} steps of {} rows", time, batch));
    }
  if (!report) return report;
  const auto learned = [&](Index in, Index width, Rng& rng) { return LearnedInitial(make(in, width, rng)); };
  CellCheckOptions unused = options;
  unused.may_be_unused = true;
  detail::merge(report, detail::check_extents(learned, unused), "learned initial state");
  return report;
}

/// The same for a cell that is built from (in, width, rng): check_cell<MGUCell>({.in = 3, .width = 4}).
template <template <Real> class C, Real T = double>
GradientReport check_cell(const CellCheckOptions& options = {}) {
  return check_cell([](Index in, Index width, Rng& rng) { return C<T>(in, width, rng); }, options);
}

}  // namespace unroll::inline UNROLL_ISA
