#pragma once

#include <vector>

#include <unroll/layers/recurrent.h>

namespace unroll::inline UNROLL_ISA {

/// Truncated back-propagation through time over a long sequence, BPTT(k2; k1) of Williams and Peng (1990): after every
/// k1 steps, the loss of these k1 steps flows back through the last k2. The state is carried; what lies further back is
/// cut exactly: the state k2 steps ago is a constant. The k2 - k1 steps before the new ones are computed again from it,
/// so that all of a window is computed with the weights of the moment.
///
///   Tbptt tbptt(model.rnn, {.k1 = 20, .k2 = 60});
///   const auto inputs = [&](Index first, Index last) { return model.embed(tape, tokens_of(first, last)); };
///   for (Index t = 0; t < steps; t += 20) {
///     const Var<> hs = tbptt.advance(tape, inputs);
///     tape.backward(cross_entropy(model.head(hs), targets_of(t, t + 20)));
///     adam.step();
///   }
template <class L>
class Tbptt {
 public:
  using T = typename L::scalar;
  using State = typename L::State;
  struct Options {
    Index k1 = 1, k2 = 1;
  };

  /// The layer must outlive this. Throws ValueError unless 1 <= k1 <= k2.
  Tbptt(const L& layer, Options options) : layer_(layer), options_(options) {
    require<ValueError>(options.k1 >= 1 && options.k1 <= options.k2,
                        "tbptt: k1 = {} and k2 = {}, but 1 <= k1 <= k2 is needed", options.k1, options.k2);
  }

  /// Rewinds the tape, and returns the outputs [k1, batch, width] of the next k1 steps. inputs(first, last) gives the
  /// inputs [last - first, batch, in] of the steps first .. last - 1 on that tape; first is at most k2 - k1 before the
  /// steps that are new. `count`: fewer new steps than k1, at the end of a sequence.
  template <class F>
  Var<T> advance(Tape<T>& tape, F inputs, Index count = -1) {
    if (count < 0) count = options_.k1;
    tape.rewind();
    tape.template require<ValueError>(count > 0 && count <= options_.k1, "tbptt: {} new steps of {}", count,
                                      options_.k1);
    while (kept_.size() > 1 && kept_.front().step < at_ - (options_.k2 - options_.k1)) kept_.erase(kept_.begin());
    const Index first = kept_.empty() ? 0 : kept_.front().step, end = at_ + count;
    const Var<T> xs = inputs(first, end);
    const Shape shape = xs.shape();
    tape.template require<ShapeError>(shape.rank() == 3 && shape[0] == end - first,
                                      "tbptt: inputs {} for the {} steps {} .. {}", shape, end - first, first, end - 1);
    State state = layer_.initial(tape, shape[1]);
    if (kept_.empty())
      keep(0, state);
    else
      state = enter(tape, kept_.front(), state);
    kept_.resize(1);
    // The window is run in parts, up to each step where a later window begins.
    std::vector<Var<T>> fresh;
    for (Index from = first; from < end;) {
      Index next = end;
      bool later_start = true;
      for (Index start = end - (options_.k2 - options_.k1); start < next; start += options_.k1)
        if (start > from) next = start;
      if (from < at_ && at_ < next) {
        next = at_;
        later_start = false;
      }
      const auto part = layer_(slice(xs, 0, from - first, next - first), state);
      state = part.last;
      if (later_start) keep(next, state);
      if (from >= at_) fresh.push_back(part.outputs);
      from = next;
    }
    at_ = end;
    return fresh.size() == 1 ? fresh[0] : concat(std::span<const Var<T>>(fresh), 0);
  }

  /// Steps made so far.
  Index steps() const { return at_; }
  /// Forgets the state: the next step is the first of another sequence.
  void reset() {
    kept_.clear();
    at_ = 0;
  }

 private:
  struct Kept {
    Index step;
    std::vector<Tensor<T>> values;
  };

  void keep(Index step, const State& state) {
    Kept kept{step, {}};
    for_each_var(state, [&](const Var<T>& v) { kept.values.emplace_back(v.value()); });
    kept_.push_back(std::move(kept));
  }
  static State enter(Tape<T>& tape, const Kept& kept, const State& like) {
    std::size_t k = 0;
    return map_vars(like, [&](Var<T>) { return tape.constant(kept.values[k++]); });
  }
  const L& layer_;
  Options options_;
  Index at_ = 0;
  std::vector<Kept> kept_;  // states where this and later windows begin
};

}  // namespace unroll::inline UNROLL_ISA
