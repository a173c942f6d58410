#pragma once

#include <cmath>
#include <functional>
#include <vector>

#include <unroll/autograd/tape/fields.h>
#include <unroll/autograd/tensor/simd.h>

namespace unroll::inline UNROLL_ISA {

/// A language model as decoders ask it: it numbers the prefixes it has read, the empty one being 0, so that many can be
/// continued side by side.
class PrefixModel {
 public:
  virtual ~PrefixModel() = default;
  /// Forgets all prefixes but the empty one.
  virtual void restart() = 0;
  /// The number of a prefix with one more label.
  virtual Index extend(Index prefix, std::int32_t label) = 0;
  /// The logarithm of the probability that `label` comes after a prefix, in nats.
  virtual double log_probability(Index prefix, std::int32_t label) = 0;
  /// The same of the end; 0 of a model that knows no ends.
  virtual double end_log_probability(Index) { return 0; }
};

/// A recurrent language model of this library. `step(label, state)` gives the logits [1, classes] of what comes next,
/// and the next state, on the model's inference tape; `start` is what it reads first, and `end`, if not -1, the class
/// that means the end.
template <Real T, class State>
class RecurrentPrefixModel : public PrefixModel {
 public:
  using Step = std::function<std::pair<Var<T>, State>(std::int32_t label, const State& state)>;

  RecurrentPrefixModel(Tape<T>& tape, std::function<State()> initial, Step step, std::int32_t start,
                       std::int32_t end = -1)
      : tape_(tape), initial_(std::move(initial)), step_(std::move(step)), start_(start), end_(end) {
    restart();
  }

  void restart() override {
    tape_.rewind();
    read_.clear();
    read(start_, initial_());
  }
  Index extend(Index prefix, std::int32_t label) override {
    const State before = read_[static_cast<std::size_t>(prefix)].state;
    return read(label, before);
  }
  double log_probability(Index prefix, std::int32_t label) override {
    const Read& r = read_[static_cast<std::size_t>(prefix)];
    const View<const T> x = values(r.logits);
    require<IndexError>(label >= 0 && label < x.cols, "prefix_model: label {} is outside 0 .. {}", label, x.cols - 1);
    return static_cast<double>(x.data[label]) - r.logsumexp;
  }
  double end_log_probability(Index prefix) override { return end_ < 0 ? 0 : log_probability(prefix, end_); }

 private:
  struct Read {
    Var<T> logits;
    State state;
    double logsumexp;
  };
  Index read(std::int32_t label, const State& before) {
    const auto [logits, state] = step_(label, before);
    const View<const T> x = values(logits);
    const auto largest = static_cast<double>(simd::max(x.data, x.cols));
    double sum = 0;
    for (Index c = 0; c < x.cols; ++c) sum += std::exp(static_cast<double>(x.data[c]) - largest);
    read_.push_back({logits, state, largest + std::log(sum)});
    return static_cast<Index>(read_.size()) - 1;
  }

  Tape<T>& tape_;
  std::function<State()> initial_;
  Step step_;
  std::int32_t start_, end_;
  std::vector<Read> read_;
};

}  // namespace unroll::inline UNROLL_ISA
