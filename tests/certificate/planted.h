#pragma once

#include <unroll/layers/check_cell.h>
#include <unroll/layers/layers.h>

// Recurrent layers with a fault planted in them, each of which a library has published. The certificate must refuse
// every one.

namespace unroll::planted {

/// y = x M for a given mask, with a backward by another one.
template <Real T>
struct ByMask {
  static constexpr const char* name = "by_mask";
  Var<T> x;
  std::span<const T> forward_mask, backward_mask;
  void forward(Var<T> y) const {
    const View<const T> from = values(x);
    for (Index r = 0; r < from.rows; ++r)
      for (Index c = 0; c < from.cols; ++c)
        result(y).row(r)[c] = from.row(r)[c] * forward_mask[static_cast<std::size_t>(c)];
  }
  void backward(Var<T> y) const {
    const View<const T> dy = gradient(y);
    for (Index r = 0; r < dy.rows; ++r)
      for (Index c = 0; c < dy.cols; ++c)
        gradient(x).row(r)[c] += dy.row(r)[c] * backward_mask[static_cast<std::size_t>(c)];
  }
};

/// A mask that keeps every second unit, or with `all` every one.
template <Real T>
std::span<const T> mask(Tape<T>& tape, Index width, Index start, bool all = false) {
  const std::span<T> m = tape.template room<T>(width);
  for (std::size_t j = 0; j < m.size(); ++j) m[j] = (static_cast<Index>(j) + start) % 2 == 0 ? T(2) : T(all ? 2 : 0);
  return m;
}

/// x + bias, whose bias hears of the last row alone.
template <Real T>
struct BiasOfOneRow {
  static constexpr const char* name = "bias_of_one_row";
  Var<T> x, bias;
  void forward(Var<T> y) const {
    const View<const T> from = values(x);
    for (Index r = 0; r < from.rows; ++r)
      for (Index c = 0; c < from.cols; ++c) result(y).row(r)[c] = from.row(r)[c] + values(bias).row(0)[c];
  }
  void backward(Var<T> y) const {
    const View<const T> dy = gradient(y);
    for (Index r = 0; r < dy.rows; ++r)
      for (Index c = 0; c < dy.cols; ++c) gradient(x).row(r)[c] += dy.row(r)[c];
    for (Index c = 0; c < dy.cols; ++c) gradient(bias).row(0)[c] += dy.row(dy.rows - 1)[c];
  }
};

/// The identity, whose gradient is added twice.
struct Twice {
  static constexpr const char* name = "twice";
  template <class V>
  V forward(V x) const {
    return x;
  }
  template <class V>
  V backward(V dy, V, V) const {
    return dy + dy;
  }
};

/// tanh, whose derivative is taken from its operand.
struct TanhOfInput {
  static constexpr const char* name = "tanh";
  template <class V>
  V forward(V x) const {
    return math::tanh(x);
  }
  template <class V>
  V backward(V dy, V x, V) const {
    return dy * (V(1) - x * x);
  }
};

template <Real T>
struct MaskOfStepOne : LSTMCell<T> {
  using LSTMCell<T>::LSTMCell;
  HiddenAndCell<T> step(Var<T> x, HiddenAndCell<T> s, Index t) const {
    const ByMask<T> dropped{s.h, mask<T>(x.tape(), this->width, t), mask<T>(x.tape(), this->width, 0)};
    return LSTMCell<T>::step(x, {unroll::record(s.h.shape(), dropped, s.h), s.c});
  }
};

template <Real T>
struct MaskNotInBackward : LSTMCell<T> {
  using LSTMCell<T>::LSTMCell;
  Var<T> project(Var<T> xs) const {
    const Index in = xs.shape().cols();
    const ByMask<T> dropped{xs, mask<T>(xs.tape(), in, 0), mask<T>(xs.tape(), in, 0, true)};
    return LSTMCell<T>::project(unroll::record(xs.shape(), dropped, xs));
  }
};

template <Real T>
struct CutHistory : LSTMCell<T> {
  using LSTMCell<T>::LSTMCell;
  HiddenAndCell<T> step(Var<T> x, HiddenAndCell<T> s) const {
    return LSTMCell<T>::step(x, {stop_gradient(s.h), stop_gradient(s.c)});
  }
};

template <Real T>
struct UpperBias : LSTMCell<T> {
  using LSTMCell<T>::LSTMCell;
  Var<T> project(Var<T> xs) const {
    if (xs.shape().cols() != this->width) return LSTMCell<T>::project(xs);
    return matmul(xs, this->input.weight) + stop_gradient(xs.tape().use(this->input.bias));
  }
};

template <Real T>
struct BiasOfLastRow : LSTMCell<T> {
  using LSTMCell<T>::LSTMCell;
  Var<T> project(Var<T> xs) const {
    const Var<T> bias = xs.tape().use(this->input.bias), product = matmul(xs, this->input.weight);
    return unroll::record(product.shape(), BiasOfOneRow<T>{product, bias}, product, bias);
  }
};

template <Real T>
struct DerivativeOfInput : LSTMCell<T> {
  using LSTMCell<T>::LSTMCell;
  HiddenAndCell<T> step(Var<T> x, HiddenAndCell<T> s) const {
    const auto [i, f, g, o] = split<4>(addmm(x, s.h, this->recurrent.weight));
    const Var<T> c = sigmoid(f) * s.c + sigmoid(i) * apply(TanhOfInput{}, g);
    return {sigmoid(o) * tanh(c), c};
  }
};

template <Real T>
struct PeepholeToPreviousCell : PeepholeLSTMCell<T> {
  using PeepholeLSTMCell<T>::PeepholeLSTMCell;
  HiddenAndCell<T> step(Var<T> x, HiddenAndCell<T> s) const {
    const auto [i, f, g, o] = split<4>(addmm(x, s.h, this->recurrent.weight));
    const Var<T> seen = stop_gradient(s.c);
    const Var<T> c = sigmoid(f + this->peep_f * seen) * s.c + sigmoid(i + this->peep_i * seen) * tanh(g);
    return {sigmoid(o + this->peep_o * c) * tanh(c), c};
  }
};

/// A right gradient of a wrong function: the output gate's peephole is added behind the sigmoid.
template <Real T>
struct PeepholeBehindGate : PeepholeLSTMCell<T> {
  using PeepholeLSTMCell<T>::PeepholeLSTMCell;
  HiddenAndCell<T> step(Var<T> x, HiddenAndCell<T> s) const {
    const auto [i, f, g, o] = split<4>(addmm(x, s.h, this->recurrent.weight));
    const Var<T> c = sigmoid(f + this->peep_f * s.c) * s.c + sigmoid(i + this->peep_i * s.c) * tanh(g);
    return {(sigmoid(o) + this->peep_o * c) * tanh(c), c};
  }
};

template <Real T>
struct DroppedWeights : LSTMCell<T> {
  using LSTMCell<T>::LSTMCell;
  HiddenAndCell<T> step(Var<T> x, HiddenAndCell<T> s) const {
    const auto [i, f, g, o] = split<4>(x + matmul(s.h, stop_gradient(x.tape().use(this->recurrent.weight))));
    const Var<T> c = sigmoid(f) * s.c + sigmoid(i) * tanh(g);
    return {sigmoid(o) * tanh(c), c};
  }
};

template <Real T>
struct CountedTwice : LSTMCell<T> {
  using LSTMCell<T>::LSTMCell;
  HiddenAndCell<T> step(Var<T> x, HiddenAndCell<T> s) const { return LSTMCell<T>::step(x, {apply(Twice{}, s.h), s.c}); }
};

template <Real T>
struct FrozenStart : LearnedInitial<LSTMCell<T>> {
  FrozenStart(Index in, Index width, Rng& rng) : LearnedInitial<LSTMCell<T>>(LSTMCell<T>(in, width, rng)) {}
  HiddenAndCell<T> initial(Tape<T>& tape, Index batch) const {
    return map_vars(LearnedInitial<LSTMCell<T>>::initial(tape, batch), [](Var<T> v) { return stop_gradient(v); });
  }
};

template <Real T>
struct StateLeaks : LSTMCell<T> {
  using LSTMCell<T>::LSTMCell;
  mutable std::vector<T> kept;
  HiddenAndCell<T> step(Var<T> x, HiddenAndCell<T> s, Index t) const {
    Var<T> c = s.c;
    if (t == 0 && !kept.empty()) c = c + x.tape().constant(Shape{1, this->width}, std::span<const T>(kept));
    const auto next = LSTMCell<T>::step(x, {s.h, c});
    const View<const T> v = values(next.c);
    kept.assign(v.data, v.data + this->width);
    return next;
  }
};

/// A layer with a fault that gets the layer's call, the inputs and the lengths.
template <class L, class Fault>
struct Faulty : L {
  using L::L;
  using T = typename L::scalar;
  using Lengths = std::span<const Index>;
  auto operator()(Var<T> xs, Lengths lengths = {}) const {
    return Fault::run([this](Var<T> x, Lengths n) { return L::operator()(x, n); }, xs, lengths);
  }
  auto operator()(Var<T> xs, const typename L::State& s, Lengths lengths = {}) const {
    return Fault::run([&](Var<T> x, Lengths n) { return L::operator()(x, s, n); }, xs, lengths);
  }
};

inline Var<double> mask_of(Var<double> y, std::span<const Index> lengths) {
  return reshape(length_mask(y.tape(), lengths, y.shape()[0]), {y.shape()[0], y.shape()[1], 1});
}

struct LastOfPadding {
  static auto run(auto layer, Var<double> xs, std::span<const Index> lengths) {
    const auto padded = layer(xs, {});
    auto u = layer(xs, lengths);
    u.last = padded.last;
    return u;
  }
};
struct MaskMultiplies {
  static auto run(auto layer, Var<double> xs, std::span<const Index> lengths) {
    auto u = layer(xs, {});
    const auto right = layer(xs, lengths);
    if (!lengths.empty()) u.outputs = u.outputs * mask_of(u.outputs, lengths);
    u.last = right.last;
    return u;
  }
};
struct ReversedPadding {
  static auto run(auto layer, Var<double> xs, std::span<const Index> lengths) {
    auto u = layer(reverse(xs), {});
    u.outputs = reverse(u.outputs);
    if (!lengths.empty()) u.outputs = where(mask_of(u.outputs, lengths), u.outputs, 0);
    return u;
  }
};
struct LastCellIgnored {
  static auto run(auto layer, Var<double> xs, std::span<const Index> lengths) {
    auto u = layer(xs, lengths);
    u.last.c = stop_gradient(u.last.c);
    return u;
  }
};
struct LastCellIsHidden {
  static auto run(auto layer, Var<double> xs, std::span<const Index> lengths) {
    auto u = layer(xs, lengths);
    u.last.c = u.last.h;
    return u;
  }
};
struct StateNotPassedOn {
  static auto run(auto layer, Var<double> xs, std::span<const Index> lengths) {
    auto u = layer(xs, lengths);
    if (!lengths.empty()) return u;
    std::vector<Var<double>> steps;
    for (Index t = 0; t < xs.shape()[0]; ++t) steps.push_back(layer(slice(xs, 0, t, t + 1), {}).outputs);
    u.outputs = concat(std::span<const Var<double>>(steps), 0);
    return u;
  }
};
struct LostDirection {
  static auto run(auto layer, Var<double> xs, std::span<const Index> lengths) {
    auto u = layer(xs, lengths);
    const Index half = u.outputs.shape()[2] / 2;
    u.outputs = concat(slice(u.outputs, -1, 0, half), stop_gradient(slice(u.outputs, -1, half, 2 * half)));
    u.last.backward = map_vars(u.last.backward, [](Var<double> v) { return stop_gradient(v); });
    return u;
  }
};

struct Fault {
  const char* what;
  const char* where;  // it was published: repository and number of the thread
  GradientReport (*check)();
};

template <template <Real> class C, bool timed = false>
GradientReport cell() {
  return check_cell<C>({.timed = timed});
}
template <class Change, class L = LSTM<double>>
GradientReport layer() {
  Rng rng{1};
  return check_layer("layer", Faulty<L, Change>(3, 4, rng));
}

// What threads of public repositories report, in our words.
constexpr std::array faults{
    Fault{"the mask of the first step in the gradient of every step", "lmnt-com/haste #43", &cell<MaskOfStepOne, true>},
    Fault{"a backward direction that never reaches the total", "mlpack/mlpack #1742",
          &layer<LostDirection, Bidirectional<LSTM<double>>>},
    Fault{"no gradient for biases beyond the first layer", "apache/mxnet #17872", &cell<UpperBias>},
    Fault{"back-propagation cut after one step", "FluxML/Flux.jl #1209", &cell<CutHistory>},
    Fault{"the gradient that arrives at the last cell state is dropped", "deeplearning4j/deeplearning4j #8838",
          &layer<LastCellIgnored>},
    Fault{"a wrong gradient through the peepholes to the cell before", "tensorflow/tensorflow #34171",
          &cell<PeepholeToPreviousCell>},
    Fault{"dropout that backward forgets", "pytorch/pytorch #190056", &cell<MaskNotInBackward>},
    Fault{"recurrent weights under DropConnect get no gradient", "fastai/fastai2 #427", &cell<DroppedWeights>},
    Fault{"a state that is not passed from step to step", "tracel-ai/burn #2701", &layer<StateNotPassedOn>},
    Fault{"a backward direction that starts in the padding", "apache/mxnet #19323",
          &layer<ReversedPadding, Reversed<LSTM<double>>>},
    Fault{"final states read behind the padding", "ray-project/ray #21392", &layer<LastOfPadding>},
    Fault{"padding hidden by a product, where 0 NaN is NaN", "ragulpr/wtte-rnn #50", &layer<MaskMultiplies>},
    Fault{"a state that survives from one sequence to the next", "soumith/cudnn.torch #348", &cell<StateLeaks, true>},
    Fault{"the last hidden state returned as the last cell", "salesforce/decaNLP #9", &layer<LastCellIsHidden>},
    Fault{"an initial state that is never learned", "FluxML/Flux.jl #2215", &cell<FrozenStart>},
    Fault{"a bias gradient that is not summed over the batch", "asappresearch/sru #52", &cell<BiasOfLastRow>},
    Fault{"a derivative of tanh that is not its own", "microsoft/knossos-ksc #505", &cell<DerivativeOfInput>},
    Fault{"a value used twice whose gradient is passed on twice", "sebgao/cTensor #5", &cell<CountedTwice>},
};

}  // namespace unroll::planted
