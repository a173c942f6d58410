#include <unroll/models/any_layers.h>

#include <fmt/ranges.h>

namespace unroll::inline UNROLL_ISA {

struct WrapperEntry {
  using Options = AnyLayers::Options;
  using Stack = AnyLayers::Stack;

  const char* name;
  Stack (*make)(const Options&, Rng&);

  template <class L>
  static Stack of_layers(const Options& o, Rng& rng) {
    return Stacked<L>(o.in, o.width, o.count, rng, o.dropout, o.cell);
  }
  /// layer_of(cell) for each layer.
  template <class F>
  static Stack of_cells(const Options& o, Rng& rng, F layer_of) {
    std::vector<decltype(layer_of(std::declval<AnyCell<>>()))> layers;
    for (Index i = 0; i < o.count; ++i)
      layers.push_back(layer_of(AnyCell<>(i == 0 ? o.in : layers.back().width(), o.width, rng, o.cell)));
    return Stacked(std::move(layers), o.dropout);
  }
  template <template <class> class W>
  static Stack with_rate(const Options& o, Rng& rng) {
    return of_cells(o, rng, [&](AnyCell<> cell) { return Recurrent(W<AnyCell<>>(std::move(cell), o.wrapper_rate)); });
  }
  static Stack learned_initial(const Options& o, Rng& rng) {
    return of_cells(o, rng, [](AnyCell<> cell) { return Recurrent(LearnedInitial<AnyCell<>>(std::move(cell))); });
  }
  static Stack checkpointed(const Options& o, Rng& rng) {
    constexpr Index segment = 32;
    return of_cells(o, rng, [](AnyCell<> cell) { return Checkpointed<AnyCell<>>(std::move(cell), segment); });
  }
  static std::span<const WrapperEntry> all() {
    using Plain = AnyLayers::Plain;
    static constexpr std::array entries{WrapperEntry{"none", of_layers<Plain>},
                                        WrapperEntry{"bidirectional", of_layers<Bidirectional<Plain>>},
                                        WrapperEntry{"reversed", of_layers<Reversed<Plain>>},
                                        WrapperEntry{"residual", of_layers<Residual<Plain>>},
                                        WrapperEntry{"highway", of_layers<Highway<Plain>>},
                                        WrapperEntry{"normalized", of_layers<Normalized<Plain>>},
                                        WrapperEntry{"checkpointed", checkpointed},
                                        WrapperEntry{"zoneout", with_rate<Zoneout>},
                                        WrapperEntry{"recurrent-dropout", with_rate<RecurrentDropout>},
                                        WrapperEntry{"variational-dropout", with_rate<VariationalDropout>},
                                        WrapperEntry{"drop-connect", with_rate<DropConnect>},
                                        WrapperEntry{"learned-initial", learned_initial}};
    return entries;
  }
  static const WrapperEntry& of(const std::string& name) {
    for (const WrapperEntry& entry : all())
      if (entry.name == name) return entry;
    throw ValueError(fmt::format("wrapper: {} is none of {}", name, fmt::join(wrapper_names(), ", ")));
  }
};

const std::vector<std::string>& wrapper_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const WrapperEntry& entry : WrapperEntry::all()) list.emplace_back(entry.name);
    return list;
  }();
  return names;
}

const char* wrapper_help() {
  static const std::string help = fmt::format("around each layer or cell: {}", fmt::join(wrapper_names(), ", "));
  return help.c_str();
}

AnyLayers::AnyLayers(const Options& options, Rng& rng) : stack_(WrapperEntry::of(options.wrapper).make(options, rng)) {}

Var<> AnyLayers::operator()(Var<> xs, std::span<const Index> lengths) const {
  return std::visit([&](const auto& stack) { return stack(xs, lengths).outputs; }, stack_);
}

Index AnyLayers::width() const {
  return std::visit([](const auto& stack) { return stack.width(); }, stack_);
}

}  // namespace unroll::inline UNROLL_ISA
