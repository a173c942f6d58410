#include <unroll/layers/check_cell.h>

#include <limits>

namespace unroll::inline UNROLL_ISA::detail {
namespace {

/// The checks of one layer.
class LayerCheck {
  using State = CheckedLayer::State;
  using Lengths = CheckedLayer::Lengths;
  static constexpr int most_failures = 2;  // told of one comparison

 public:
  LayerCheck(std::string name, std::unique_ptr<CheckedLayer> layer, const CellCheckOptions& options,
             GradientReport& report)
      : time(options.time),
        batch(options.batch),
        name_(std::move(name)),
        layer_(std::move(layer)),
        options_(options),
        report_(report),
        rng_(options.seed + 1) {
    xs_ = random({time, batch, options.in}, "inputs");
    Tape<double> tape = Tape<double>::inference();
    for (const Var<double>& v : layer_->initial(tape, batch).arrays) {
      start_.push_back(random(v.shape(), fmt::format("initial state {}", start_.size())));
      weights_.push_back(random(v.shape(), "").value());
    }
    weights_.push_back(random({time, batch, layer_->width()}, "").value());
    listed_ = layer_->parameters();
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
    if (layer_->looped() != nullptr)
      for (const Lengths lengths : {Lengths(), Lengths(unsorted), Lengths(short_and_none)})
        attempt("scan and loop", [&] { scan_and_loop(lengths); });
    if (options_.timed || options_.random || !layer_->steps()) return;
    attempt("streaming", [&] { streaming(); });
    attempt("chunks", [&] { chunks(); });
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
    const View<const double> a = values(contiguous(got)), b = values(contiguous(want));
    expect_same(of, std::span(a.data, static_cast<std::size_t>(a.size())),
                std::span(b.data, static_cast<std::size_t>(b.size())));
  }
  void expect_same(const std::string& of, std::span<const double> a, std::span<const double> b) {
    for (std::size_t i = 0; i < a.size(); ++i)
      if (!(std::abs(a[i] - b[i]) <= options_.agreement * std::max(1.0, std::abs(b[i]))))
        return fail(fmt::format("{}: element {} is {:.15g} and {:.15g}", of, i, a[i], b[i]));
  }

  void expect_same_state(std::span<const Var<double>> got, const State& want) {
    for (std::size_t k = 0; k < want.arrays.size(); ++k) expect_same("last state", got[k], want.arrays[k]);
  }

  State given_state(Tape<double>& tape) const {
    std::vector<Var<double>> arrays;
    for (const Parameter<double>& p : start_) arrays.push_back(tape.use(p));
    return layer_->with(layer_->initial(tape, batch), arrays);
  }
  CheckedLayer::Run unroll(Tape<double>& tape, Lengths lengths, bool given) const {
    const Var<double> xs = tape.use(xs_);
    if (!given) return layer_->run(xs, nullptr, lengths);
    const State start = given_state(tape);
    return layer_->run(xs, &start, lengths);
  }
  Var<double> loss(Tape<double>& tape, Lengths lengths, bool given) const {
    const auto [outputs, last] = unroll(tape, lengths, given);
    Var<double> total = unroll::sum(outputs * tape.constant(weights_.back()));
    for (std::size_t k = 0; k < last.arrays.size(); ++k)
      total = total + unroll::sum(last.arrays[k] * tape.constant(weights_[k]));
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
    const auto loop = layer_->looped();
    Tape<double> tape;
    const Var<double> xs = tape.use(xs_);
    const State start = given_state(tape);
    const auto a = layer_->run(xs, &start, lengths), b = loop->run(xs, &start, lengths);
    expect_same("outputs", a.outputs, b.outputs);
    expect_same_state(a.last.arrays, b.last);
  }

  void singles(Lengths lengths, bool given) {
    Tape<double> tape;
    const auto all = unroll(tape, lengths, given);
    for (Index b = 0; b < batch; ++b) {
      const Index n = lengths[static_cast<std::size_t>(b)];
      const auto row = [b](Var<double> v, int axis) { return slice(v, axis, b, b + 1); };
      const auto rows = [&](const State& state) {
        std::vector<Var<double>> arrays;
        for (const Var<double>& v : state.arrays) arrays.push_back(row(v, 0));
        return arrays;
      };
      const Var<double> xs = row(slice(tape.use(xs_), 0, 0, n), 1);
      State start = layer_->initial(tape, 1);
      if (given) {
        const State whole = given_state(tape);
        start = layer_->with(whole, rows(whole));
      }
      const auto one = layer_->run(xs, &start, {});
      expect_same("outputs", row(slice(all.outputs, 0, 0, n), 1), one.outputs);
      expect_same_state(rows(all.last), one.last);
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
    for_padding(lengths, layer_->width(), [&](Index at) {
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
      const auto [output, after] = layer_->step(tape.use(xs_)[t], state);
      expect_same("outputs", all.outputs[t], output);
      state = after;
    }
    expect_same_state(all.last.arrays, state);
  }

  void chunks() {
    Tape<double> whole, tape;
    const auto all = unroll(whole, {}, true);
    State state = given_state(tape);
    const Index most = std::max<Index>(1, time / 2);
    for (Index first = 0; first < time; first += most) {
      const Index last = std::min(time, first + most);
      const auto part = layer_->run(slice(tape.use(xs_), 0, first, last), &state, {});
      for (Index t = first; t < last; ++t) expect_same("outputs", part.outputs[t - first], all.outputs[t]);
      state = layer_->with(part.last, tape.restart(part.last.arrays));
    }
  }

  const Index time, batch;
  std::string name_, what_;
  int failures_ = 0;
  std::unique_ptr<CheckedLayer> layer_;
  const CellCheckOptions& options_;
  GradientReport& report_;
  Rng rng_;
  Parameter<double> xs_;
  std::vector<Parameter<double>> start_;
  std::vector<Tensor<double>> weights_;
  std::vector<Parameter<double>*> listed_;
};

/// Where a cell that fails first goes wrong, in a sentence.
std::string first_wrong(const CheckedCell& cell, const CellCheckOptions& options) {
  for (Index time = 1; time <= options.time; ++time) {
    GradientReport probe;
    CellCheckOptions one = options;
    one.time = time;
    Rng rng(options.seed);
    try {
      if (LayerCheck("", cell.one(rng), one, probe).gradients_agree()) continue;
    } catch (const Error&) { continue; }
    if (time == 1) return "wrong for a single step already: look at the derivatives of `step` and `project` themselves";
    return fmt::format(
        "right for {} step{} and wrong for {}: look at the path through the state, and at what is kept from step to "
        "step",
        time - 1, time == 2 ? "" : "s", time);
  }
  return "";
}

}  // namespace

void check_layer(const std::string& name, std::unique_ptr<CheckedLayer> layer, const CellCheckOptions& options,
                 GradientReport& report) {
  LayerCheck(name, std::move(layer), options, report).run();
}

GradientReport check_extents(const CheckedCell& cell, const CellCheckOptions& options) {
  GradientReport report;
  Rng rng(options.seed);
  // A fault of one layer would only be repeated by those made of it.
  auto one = cell.one(rng);
  const bool may_scan = one->looped() != nullptr;
  check_layer("one layer", std::move(one), options, report);
  if (may_scan)
    if (auto looped = cell.one(rng)->looped(); report && looped->is_linear())
      check_layer("one layer, looped", std::move(looped), options, report);
  if (!report) {
    if (const std::string where = first_wrong(cell, options); !where.empty()) report.problems.push_back(where);
    return report;
  }
  check_layer("both directions", cell.both(rng), options, report);
  check_layer("three layers", cell.three(rng), options, report);
  if (!report) return report;
  check_layer("three layers of both directions", cell.three_both(rng), options, report);
  return report;
}

GradientReport check_grid(const CheckedCell& cell, const CheckedCell& learned, const CellCheckOptions& options) {
  GradientReport report = check_extents(cell, options);
  for (const Index time : {1, 2, 7})
    for (const Index batch : {1, 5}) {
      if (!report) return report;
      CellCheckOptions one = options;
      one.time = time;
      one.batch = batch;
      merge(report, check_extents(cell, one), fmt::format("{} steps of {} rows", time, batch));
    }
  if (!report) return report;
  CellCheckOptions unused = options;
  unused.may_be_unused = true;
  merge(report, check_extents(learned, unused), "learned initial state");
  return report;
}

void merge(GradientReport& report, const GradientReport& other, const std::string& where) {
  report.passed = report.passed && other.passed;
  report.entries += other.entries;
  report.worst_projection = std::max(report.worst_projection, other.worst_projection);
  if (other.worst.error > report.worst.error) report.worst = other.worst;
  for (const std::string& problem : other.problems) report.problems.push_back(where + ": " + problem);
}

}  // namespace unroll::inline UNROLL_ISA::detail
