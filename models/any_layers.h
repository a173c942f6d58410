#pragma once

#include <variant>

#include <unroll/layers/layers.h>

namespace unroll::inline UNROLL_ISA {

/// What may be around each layer of AnyLayers: none, bidirectional, reversed, residual, highway, normalized,
/// checkpointed; and around each cell: zoneout, recurrent-dropout, variational-dropout, drop-connect, learned-initial.
const std::vector<std::string>& wrapper_names();
/// The help for an option that is one of them.
const char* wrapper_help();

/// A stack of recurrent layers whose cell and wrapper are chosen by their names when the program runs.
class AnyLayers {
 public:
  struct Options {
    Index in, width, count = 1;
    std::string cell = "lstm", wrapper = "none";
    double dropout = 0;         // between layers
    double wrapper_rate = 0.1;  // of wrappers that drop or keep units
  };

  /// Throws ValueError for names that there are not.
  AnyLayers(const Options& options, Rng& rng);

  /// xs [time, batch, in] to [time, batch, width()].
  Var<> operator()(Var<> xs, std::span<const Index> lengths = {}) const;
  Index width() const;
  static void fields(auto& m, auto&& f) {
    std::visit([&](auto& stack) { std::decay_t<decltype(stack)>::fields(stack, f); }, m.stack_);
  }

 private:
  using Plain = Recurrent<AnyCell<>>;
  template <template <class> class W>
  using OfLayers = Stacked<W<Plain>>;
  template <template <class> class W>
  using OfCells = Stacked<Recurrent<W<AnyCell<>>>>;
  using Stack =
      std::variant<Stacked<Plain>, OfLayers<Bidirectional>, OfLayers<Reversed>, OfLayers<Residual>, OfLayers<Highway>,
                   OfLayers<Normalized>, Stacked<Checkpointed<AnyCell<>>>, OfCells<Zoneout>, OfCells<RecurrentDropout>,
                   OfCells<VariationalDropout>, OfCells<DropConnect>, OfCells<LearnedInitial>>;
  friend struct WrapperEntry;

  Stack stack_;
};

}  // namespace unroll::inline UNROLL_ISA
