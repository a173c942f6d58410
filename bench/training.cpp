#include <training.h>
#include <unroll/optim/sgd.h>
#include <unroll/optim/shards.h>
#include <user_cells.h>

#include <chrono>
#include <set>

namespace unroll::bench {
namespace {

struct OfRNN {
  template <Real T>
  using Layer = Stacked<RNN<T>>;
};
struct OfGRU {
  template <Real T>
  using Layer = Stacked<GRU<T>>;
};
struct OfLSTM {
  template <Real T>
  using Layer = Stacked<LSTM<T>>;
};
struct OfUserLSTM {
  template <Real T>
  using Layer = Stacked<Recurrent<UserLSTMCell<T>>>;
};
struct OfMGU {
  template <Real T>
  using Layer = Stacked<Recurrent<MGUCell<T>>>;
};
struct OfPeephole {
  template <Real T>
  using Layer = Stacked<Recurrent<PeepholeCell<T>>>;
};
struct OfBothLSTM {
  template <Real T>
  using Layer = Stacked<Bidirectional<LSTM<T>>>;
};

template <class Kind, Real T>
struct Network {
  Embedding<T> embed;
  typename Kind::template Layer<T> rnn;
  Linear<T> head;
  bool each_row;
  static void fields(auto& m, auto&& f) { f("embed", m.embed), f("rnn", m.rnn), f("head", m.head); }

  Network(const TrainShape& s, Rng& rng)
      : embed(s.vocabulary, s.embed, rng),
        rnn(s.embed, s.hidden, s.layers, rng),
        head(s.hidden * (s.ragged ? 2 : 1), s.classes, rng),
        each_row(s.each_row) {}

  Var<T> loss(Tape<T>& tape, const Tokens& inputs, const Tokens& targets) const {
    const Var<T> embedded = embed(tape, inputs), xs = each_row ? reshape(embedded, embedded.shape()) : embedded;
    const Var<T> hs = rnn(xs, inputs.lengths).outputs;
    return linear_cross_entropy(hs, head.weight, head.bias, targets.ids);
  }
};

struct Data {
  Tokens inputs, targets;
};

Data random_data(const TrainShape& s) {
  Rng rng(7);
  Data data;
  for (auto [tokens, symbols] : {std::pair{&data.inputs, s.vocabulary}, std::pair{&data.targets, s.classes}}) {
    tokens->shape = {s.steps, s.batch};
    for (Index i = 0; i < s.steps * s.batch; ++i) tokens->ids.push_back(static_cast<std::int32_t>(rng.below(symbols)));
  }
  if (!s.ragged) return data;
  data.inputs.lengths = lengths_of(s);
  for (Index t = 0; t < s.steps; ++t)
    for (Index b = 0; b < s.batch; ++b)
      if (t >= data.inputs.lengths[static_cast<std::size_t>(b)])
        for (Tokens* tokens : {&data.inputs, &data.targets})
          tokens->ids[static_cast<std::size_t>(t * s.batch + b)] = -1;
  return data;
}

/// Columns first..end of the batch.
Data part_of(const Data& all, Index first, Index end) {
  Data part;
  const Index steps = all.inputs.shape[0], batch = all.inputs.shape[1];
  for (auto [from, to] : {std::pair{&all.inputs, &part.inputs}, std::pair{&all.targets, &part.targets}}) {
    to->shape = {steps, end - first};
    for (Index t = 0; t < steps; ++t)
      to->ids.insert(to->ids.end(), from->ids.begin() + t * batch + first, from->ids.begin() + t * batch + end);
    if (!from->lengths.empty()) to->lengths.assign(from->lengths.begin() + first, from->lengths.begin() + end);
  }
  return part;
}

Index count_valid(const Tokens& tokens) {
  return std::ranges::count_if(tokens.ids, [](auto id) { return id >= 0; });
}

/// A model with the data it is trained on, as one file.
template <class Kind>
struct WithData {
  const Network<Kind, float>& model;
  Parameter<> inputs, targets, lengths;
  static void fields(auto& m, auto&& f) {
    f("model", m.model), f("inputs", m.inputs), f("targets", m.targets), f("lengths", m.lengths);
  }
};

template <class Kind>
class TrainingOf final : public Training {
 public:
  TrainingOf(const TrainShape& shape, Index shards, int threads)
      : shape_(shape),
        rng_(1),
        model_(shape, rng_),
        sgd_(parameters(model_), {.rate = 0.1, .clip = 5.0}),
        all_(random_data(shape)),
        shards_(shards, threads) {
    for (Index s = 0; s < shards; ++s)
      parts_.push_back({part_of(all_, part_begin(shape.batch, s, shards), part_begin(shape.batch, s + 1, shards))});
  }

  double step() override {
    const auto start = Clock::now();
    const double loss = differentiate();
    const auto differentiated = Clock::now();
    sgd_.step(&shards_.workers());
    phases = {parts_[0].forward, milliseconds(start, differentiated) - parts_[0].forward,
              milliseconds(differentiated, Clock::now())};
    nodes = tape_bytes = 0;
    for (Index s = 0; s < shards_.count(); ++s) nodes += shards_.tape(s).size(), tape_bytes += shards_.tape(s).bytes();
    return loss;
  }

  double verify() override {
    Rng rng(1);
    Network<Kind, double> reference(shape_, rng);
    const auto singles = parameters(model_);
    const auto doubles = parameters<double>(reference);
    for (std::size_t i = 0; i < singles.size(); ++i)
      std::copy(singles[i]->value().begin(), singles[i]->value().end(), doubles[i]->edit().begin());
    Tape<double> exact;
    exact.backward(reference.loss(exact, all_.inputs, all_.targets));
    differentiate();
    double worst = 0;
    for (std::size_t i = 0; i < singles.size(); ++i) {
      const Tensor<float> got = singles[i]->grad();
      const Tensor<double> want = doubles[i]->gradient().values();
      double difference = 0, length = 0;
      for (std::size_t k = 0; k < want.size(); ++k) {
        difference += std::pow(static_cast<double>(got.data()[k]) - want.data()[k], 2);
        length += std::pow(want.data()[k], 2);
      }
      worst = std::max(worst, std::sqrt(difference / std::max(length, 1e-300)));
    }
    sgd_.clear_gradients();
    return worst;
  }

  void save(const std::string& file) const override {
    const auto array = [](const Shape& shape, const auto& values) {
      Tensor<float> t = make_tensor<float>(shape);
      std::ranges::transform(values, t.begin(), [](auto v) { return static_cast<float>(v); });
      return Parameter<>(std::move(t));
    };
    const auto lengths = all_.inputs.lengths.empty()
                             ? std::vector<Index>(static_cast<std::size_t>(shape_.batch), shape_.steps)
                             : all_.inputs.lengths;
    const WithData<Kind> all{model_, array(all_.inputs.shape, all_.inputs.ids),
                             array(all_.targets.shape, all_.targets.ids), array({shape_.batch}, lengths)};
    unroll::save(all, file);
  }

 private:
  using Clock = std::chrono::steady_clock;
  static double milliseconds(Clock::time_point a, Clock::time_point b) {
    return std::chrono::duration<double, std::milli>(b - a).count();
  }

  /// Adds the gradients of all shards to the parameters; returns the loss.
  double differentiate() {
    const auto tokens = static_cast<double>(count_valid(all_.targets));
    return shards_.backward([&](Tape<>& tape, Index s) {
      Part& part = parts_[static_cast<std::size_t>(s)];
      tape.rewind();
      const auto begun = Clock::now();
      const Var<> loss = model_.loss(tape, part.data.inputs, part.data.targets);
      part.forward = milliseconds(begun, Clock::now());
      return loss * (static_cast<double>(count_valid(part.data.targets)) / tokens);
    });
  }

  struct Part {
    Data data;
    double forward = 0;
  };

  TrainShape shape_;
  Rng rng_;
  Network<Kind, float> model_;
  SGD<> sgd_;
  Data all_;
  Shards<> shards_;
  std::vector<Part> parts_;
};

double gates(const std::string& cell) {
  if (cell == "rnn") return 1;
  if (cell == "mgu") return 2;
  return cell == "gru" ? 3 : 4;
}

}  // namespace

const std::vector<TrainShape>& train_shapes() {
  static const std::vector<TrainShape> shapes{
      {"char-lstm", "lstm", 65, 65, 128, 128, 50, 50, 2},
      {"lstm-user", "lstm-user", 65, 65, 128, 128, 50, 50, 2},
      {"lstm-256", "lstm", 1000, 1000, 256, 256, 64, 50, 1},
      {"ptb-small", "lstm", 10000, 10000, 200, 200, 20, 20, 2},
      {"ptb-medium", "lstm", 10000, 10000, 650, 650, 20, 35, 2},
      {"char-gru", "gru", 65, 65, 128, 128, 50, 50, 2},
      {"gru-256", "gru", 1000, 1000, 256, 256, 64, 50, 1},
      {"char-rnn", "rnn", 65, 65, 128, 128, 50, 50, 1},
      {"mgu-128", "mgu", 65, 65, 128, 128, 50, 50, 1},
      {"mgu-32", "mgu", 65, 65, 32, 32, 16, 100, 1},
      {"peephole-128", "peephole", 65, 65, 128, 128, 50, 50, 1},
      {"tagger-ragged", "lstm-both", 5000, 9, 100, 128, 32, 40, 1, true},
  };
  return shapes;
}

std::vector<Index> lengths_of(const TrainShape& shape) {
  std::vector<Index> lengths;
  Rng rng(3);
  for (Index b = 0; b < shape.batch; ++b) lengths.push_back(5 + static_cast<Index>(rng.below(shape.steps - 4)));
  lengths[0] = shape.steps;
  return lengths;
}

Index TrainShape::tokens() const {
  if (!ragged) return batch * steps;
  Index total = 0;
  for (const Index n : lengths_of(*this)) total += n;
  return total;
}

Index TrainShape::input_rows() const {
  const Data data = random_data(*this);
  const std::set<std::int32_t> symbols(data.inputs.ids.begin(), data.inputs.ids.end());
  const Index distinct = std::ranges::count_if(symbols, [](auto id) { return id >= 0; });
  return each_row || 2 * distinct > tokens() ? tokens() : distinct;
}

double TrainShape::flops() const {
  const double directions = ragged ? 2 : 1, h = static_cast<double>(hidden);
  // None of the state that a sequence starts from, which is 0; the candidate of a minimal gated unit does not show it.
  const double of_state = cell == "mgu" ? 1 : gates(cell);
  double inputs = static_cast<double>(embed), rows = static_cast<double>(input_rows()), products = 0;
  for (Index l = 0; l < layers; ++l) {
    products += directions * gates(cell) * h * (inputs * rows + h * static_cast<double>(tokens()));
    products -= directions * of_state * h * h * static_cast<double>(batch);
    inputs = directions * h;
    rows = static_cast<double>(tokens());
  }
  products += inputs * rows * static_cast<double>(classes);
  return 6 * products;
}

double TrainShape::needed_bytes() const {
  const double directions = ragged ? 2 : 1, h = static_cast<double>(hidden);
  // Beyond the projected gates: the output, and the cell state of an LSTM, the candidate's product of a GRU, the
  // gate and the gated state of a minimal gated unit.
  const double inner = cell == "rnn" ? 1 : cell == "mgu" ? 3 : 2;
  const double values =
      static_cast<double>(embed) + static_cast<double>(layers) * directions * h * (gates(cell) + inner);
  // The exponentials of the logits, which are kept; and of a ragged batch the outputs, with padding.
  const double logits = static_cast<double>(tokens() * classes);
  const double padded = ragged ? 2 * directions * h * static_cast<double>(batch * steps) : 0;
  return 4 * (static_cast<double>(tokens()) * 2 * values + logits + padded);
}

std::unique_ptr<Training> make_training(const TrainShape& shape, Index shards, int threads) {
  const auto make = [&]<class Kind>(Kind) -> std::unique_ptr<Training> {
    return std::make_unique<TrainingOf<Kind>>(shape, shards, threads);
  };
  if (shape.cell == "rnn") return make(OfRNN{});
  if (shape.cell == "gru") return make(OfGRU{});
  if (shape.cell == "lstm") return make(OfLSTM{});
  if (shape.cell == "lstm-user") return make(OfUserLSTM{});
  if (shape.cell == "mgu") return make(OfMGU{});
  if (shape.cell == "peephole") return make(OfPeephole{});
  return make(OfBothLSTM{});
}

}  // namespace unroll::bench
