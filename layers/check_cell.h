#pragma once

#include <any>
#include <functional>
#include <memory>

#include <unroll/autograd/check/gradients.h>
#include <unroll/layers/rnn.h>
#include <unroll/layers/wrappers/learned_initial.h>

// The certificate of a recurrent cell, in one line of a test:
//   CHECK(check_cell<MGUCell>({.in = 3, .width = 4}));

namespace unroll::inline UNROLL_ISA {

struct CellCheckOptions {
  Index in = 3, width = 4;
  Index time = 6, batch = 3;
  double tolerance = 1e-6;     // of gradients; see GradientCheckOptions
  double agreement = 1e-12;    // of values that must be the same to rounding
  bool timed = false;          // step depends on its index: streaming and chunks, which restart it, are not compared
  bool may_be_unused = false;  // a parameter that changes nothing is no failure
  bool random = false;         // masks are drawn while training: only gradients and padding are compared
  std::uint64_t seed = 1;      // of weights, inputs and states
};

namespace detail {

/// A sequence layer whose type the checks need not know: they are compiled once.
class CheckedLayer {
 public:
  using Lengths = std::span<const Index>;
  /// A state of the layer, and its arrays.
  struct State {
    std::any own;
    std::vector<Var<double>> arrays;
  };
  struct Run {
    Var<double> outputs;
    State last;
  };

  virtual ~CheckedLayer() = default;
  virtual Index width() const = 0;
  virtual std::vector<Parameter<double>*> parameters() = 0;
  virtual State initial(Tape<double>& tape, Index batch) const = 0;
  /// The state with other arrays.
  virtual State with(const State& state, std::span<const Var<double>> arrays) const = 0;
  /// The layer over a sequence, from its own initial state if `start` is null.
  virtual Run run(Var<double> xs, const State* start, Lengths lengths) const = 0;
  /// Of a layer of a LinearCell the same that goes step by step; else null.
  virtual std::unique_ptr<CheckedLayer> looped() const = 0;
  /// Whether one scan unrolls it where it may.
  virtual bool is_linear() const = 0;
  virtual bool steps() const = 0;
  virtual Run step(Var<double> x, const State& state) = 0;
};

template <class L>
class CheckedLayerOf final : public CheckedLayer {
  using Own = typename L::State;

 public:
  explicit CheckedLayerOf(L layer) : layer_(std::move(layer)) {}
  Index width() const override { return layer_.width(); }
  std::vector<Parameter<double>*> parameters() override { return unroll::parameters<double>(layer_); }
  State initial(Tape<double>& tape, Index batch) const override { return listed(layer_.initial(tape, batch)); }
  State with(const State& state, std::span<const Var<double>> arrays) const override {
    std::size_t k = 0;
    return listed(map_vars(of(state), [&](Var<double>) { return arrays[k++]; }));
  }
  Run run(Var<double> xs, const State* start, Lengths lengths) const override {
    const auto unrolled = start != nullptr ? layer_(xs, of(*start), lengths) : layer_(xs, lengths);
    return {unrolled.outputs, listed(unrolled.last)};
  }
  std::unique_ptr<CheckedLayer> looped() const override {
    if constexpr (linear) {
      L layer = layer_;
      layer.scan = false;
      return std::make_unique<CheckedLayerOf>(std::move(layer));
    } else {
      return nullptr;
    }
  }
  bool is_linear() const override {
    if constexpr (linear)
      return detail::is_linear(layer_.cell);
    else
      return false;
  }
  bool steps() const override { return streams; }
  Run step(Var<double> x, const State& state) override {
    if constexpr (streams) {
      const Own after = layer_.step(x, of(state));
      return {top_of<double>(after), listed(after)};
    } else {
      return {x, state};
    }
  }

 private:
  static constexpr bool linear = requires(const L& l) { requires LinearCell<decltype(l.cell)>; };
  static constexpr bool streams = requires(L& l, Var<double> x, const Own& s) { l.step(x, s); };

  static const Own& of(const State& state) { return std::any_cast<const Own&>(state.own); }
  static State listed(const Own& own) {
    State state{own, {}};
    for_each_var(own, [&](const Var<double>& v) { state.arrays.push_back(v); });
    return state;
  }

  L layer_;
};

using MakeLayer = std::function<std::unique_ptr<CheckedLayer>(Rng&)>;

/// How a cell is unrolled while it is checked.
struct CheckedCell {
  MakeLayer one, both, three, three_both;
};

template <class Make>
CheckedCell checked_cell(const Make& make, Index first_in, Index width) {
  using Made = std::invoke_result_t<const Make&, Index, Index, Rng&>;
  static_assert(!FloatCell<Made>, "check_cell: differences need a cell of double: return C<double>(in, width, rng)");
  using Layer = Recurrent<Made>;
  using Both = Bidirectional<Layer>;
  const auto one = [make, width](Index in, Rng& rng) { return Layer(make(in, width, rng)); };
  const auto both = [one](Index in, Rng& rng) {
    Layer forward = one(in, rng);
    return Both(std::move(forward), one(in, rng));
  };
  const auto single = [first_in]<class F>(F layer) -> MakeLayer {
    return [layer, first_in](Rng& rng) -> std::unique_ptr<CheckedLayer> {
      return std::make_unique<CheckedLayerOf<std::invoke_result_t<F, Index, Rng&>>>(layer(first_in, rng));
    };
  };
  const auto stack = [first_in]<class F>(F layer) -> MakeLayer {
    return [layer, first_in](Rng& rng) -> std::unique_ptr<CheckedLayer> {
      using L = std::invoke_result_t<F, Index, Rng&>;
      std::vector<L> layers;
      for (int i = 0; i < 3; ++i) layers.push_back(layer(i == 0 ? first_in : layers.back().width(), rng));
      return std::make_unique<CheckedLayerOf<Stacked<L>>>(Stacked<L>(std::move(layers)));
    };
  };
  return {single(one), single(both), stack(one), stack(both)};
}

void check_layer(const std::string& name, std::unique_ptr<CheckedLayer> layer, const CellCheckOptions& options,
                 GradientReport& report);

/// The checks of check_cell for one number of steps and rows.
GradientReport check_extents(const CheckedCell& cell, const CellCheckOptions& options);

/// Those of check_cell_on_grid, of a cell and of the same with a learned initial state.
GradientReport check_grid(const CheckedCell& cell, const CheckedCell& learned, const CellCheckOptions& options);

/// Adds what was found elsewhere to a report.
void merge(GradientReport& report, const GradientReport& other, const std::string& where);

}  // namespace detail

/// Certifies one sequence layer of `options.in` features, as check_cell does; `name` goes into the report.
template <class L>
GradientReport check_layer(const std::string& name, L layer, const CellCheckOptions& options = {}) {
  GradientReport report;
  detail::check_layer(name, std::make_unique<detail::CheckedLayerOf<L>>(std::move(layer)), options, report);
  return report;
}

/// Certifies the cell that make(in, width, rng) builds, in double. It is unrolled alone, in both directions, and in
/// three layers (of one direction and of both), over equal and ragged lengths (rows of no step among them), from its
/// own and from given initial states. All gradients (parameters, inputs, initial states) of a random projection of
/// outputs and last states must agree with differences; a batch must equal its rows one by one, NaN in the padding must
/// change nothing, streaming and truncated chunks must equal the long run. The report names what failed, and where.
template <class Make>
  requires std::invocable<const Make&, Index, Index, Rng&>
GradientReport check_cell(Make make, const CellCheckOptions& options = {}) {
  return detail::check_extents(detail::checked_cell(make, options.in, options.width), options);
}

/// The same for a cell that is built from (in, width, rng): check_cell<MGUCell>({.in = 3, .width = 4}).
template <template <Real> class C, std::same_as<double> T = double>
GradientReport check_cell(const CellCheckOptions& options = {}) {
  return check_cell([](Index in, Index width, Rng& rng) { return C<T>(in, width, rng); }, options);
}

/// check_cell, and again over 1, 2 and 7 steps, of 1 row and of 5, and with a learned initial state.
template <class Make>
  requires std::invocable<const Make&, Index, Index, Rng&>
GradientReport check_cell_on_grid(Make make, const CellCheckOptions& options = {}) {
  const auto learned = [make](Index in, Index width, Rng& rng) { return LearnedInitial(make(in, width, rng)); };
  return detail::check_grid(detail::checked_cell(make, options.in, options.width),
                            detail::checked_cell(learned, options.in, options.width), options);
}
template <template <Real> class C, std::same_as<double> T = double>
GradientReport check_cell_on_grid(const CellCheckOptions& options = {}) {
  return check_cell_on_grid([](Index in, Index width, Rng& rng) { return C<T>(in, width, rng); }, options);
}

}  // namespace unroll::inline UNROLL_ISA
