#include <unroll/layers/cells/any_cell.h>

#include <fmt/format.h>

#include <unroll/layers/cells/cells.h>
#include <unroll/layers/model.h>

namespace unroll::inline UNROLL_ISA {
namespace {

template <Real T, class C>
struct Held final : AnyCell<T>::Interface {
  using State = typename AnyCell<T>::State;
  using Own = typename C::State;
  C cell;

  template <class... Args>
  explicit Held(Args&&... args) : cell(std::forward<Args>(args)...) {}

  static State pack(const Own& own) {
    State state;
    std::size_t i = 0;
    for_each_var(own, [&](const Var<T>& v) { state.arrays[i++] = v; });
    state.memories = std::min(unroll::memories(own), static_cast<int>(i));
    return state;
  }
  static Own unpack(const State& state) {
    Own own;
    std::size_t i = 0;
    for_each_var(own, [&](Var<T>& v) { v = state.arrays[i++]; });
    return own;
  }
  State initial(Tape<T>& tape, Index batch) const override { return pack(cell.initial(tape, batch)); }
  Var<T> project(Var<T> xs) const override { return cell.project(xs); }
  State step(Var<T> x, const State& s) const override { return pack(cell.step(x, unpack(s))); }
  bool linear() const override { return LinearCell<C>; }
  Var<T> scan(Var<T> projected, State& s, const ScanSteps& steps) const override {
    if constexpr (LinearCell<C>) {
      Own own = unpack(s);
      const Var<T> outputs = cell.scan(projected, own, steps);
      s = pack(own);
      return outputs;
    } else {
      throw Error("scan: the recurrence of this cell is not linear");
    }
  }
  std::unique_ptr<typename AnyCell<T>::Interface> clone() const override { return std::make_unique<Held>(cell); }
  std::vector<std::pair<std::string, Parameter<T>*>> parameters() override {
    std::vector<std::pair<std::string, Parameter<T>*>> all;
    for_each_parameter(cell, [&](const std::string& path, Parameter<T>& p) { all.emplace_back(path, &p); });
    return all;
  }
};

template <Real T>
using Made = std::unique_ptr<typename AnyCell<T>::Interface>;

template <Real T>
struct Entry {
  const char* name;
  Made<T> (*make)(Index in, Index width, Rng& rng);
};

template <template <Real> class C, Real T>
Made<T> make(Index in, Index width, Rng& rng) {
  return std::make_unique<Held<T, C<T>>>(in, width, rng);
}
template <Real T>
Made<T> make_relu(Index in, Index width, Rng& rng) {
  return std::make_unique<Held<T, RNNCell<T>>>(in, width, rng, Activation::relu);
}

template <Real T>
constexpr std::array entries{
    Entry<T>{"rnn", &make<RNNCell, T>},
    Entry<T>{"rnn-relu", &make_relu<T>},
    Entry<T>{"irnn", &make<IRNNCell, T>},
    Entry<T>{"gru", &make<GRUCell, T>},
    Entry<T>{"gru-reset-before", &make<GRUResetBeforeCell, T>},
    Entry<T>{"gru-layer-norm", &make<LayerNormGRUCell, T>},
    Entry<T>{"lstm", &make<LSTMCell, T>},
    Entry<T>{"lstm-peephole", &make<PeepholeLSTMCell, T>},
    Entry<T>{"lstm-coupled", &make<CoupledLSTMCell, T>},
    Entry<T>{"lstm-projection", &make<ProjectionLSTMCell, T>},
    Entry<T>{"lstm-layer-norm", &make<LayerNormLSTMCell, T>},
    Entry<T>{"lstm-multiplicative", &make<MultiplicativeLSTMCell, T>},
    Entry<T>{"indrnn", &make<IndRNNCell, T>},
    Entry<T>{"mgu", &make<MinimalGatedCell, T>},
    Entry<T>{"ugrnn", &make<UGRNNCell, T>},
    Entry<T>{"clockwork", &make<ClockworkCell, T>},
    Entry<T>{"sru", &make<SRUCell, T>},
    Entry<T>{"qrnn", &make<QRNNCell, T>},
    Entry<T>{"mingru", &make<MinGRUCell, T>},
    Entry<T>{"minlstm", &make<MinLSTMCell, T>},
};

template <Real T>
Made<T> made(const std::string& name, Index in, Index width, Rng& rng) {
  for (const Entry<T>& entry : entries<T>)
    if (entry.name == name) return entry.make(in, width, rng);
  throw ValueError(fmt::format("cell: {} is none of {}", name, fmt::join(cell_names(), ", ")));
}

}  // namespace

const std::vector<std::string>& cell_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const auto& entry : entries<float>) all.emplace_back(entry.name);
    return all;
  }();
  return names;
}

template <Real T>
AnyCell<T>::AnyCell(Index in, Index width, Rng& rng, const std::string& name)
    : AnyCell(made<T>(name, in, width, rng)) {}

template class AnyCell<float>;
template class AnyCell<double>;

}  // namespace unroll::inline UNROLL_ISA
