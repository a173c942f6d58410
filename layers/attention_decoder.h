#pragma once

#include <unroll/layers/attention/attention.h>
#include <unroll/layers/readout.h>
#include <unroll/layers/recurrent.h>

namespace unroll::inline UNROLL_ISA {

/// What a decoder remembers from step to step. Every array is [batch, ...], so that map_vars(state, [&](auto v) {
/// return gather_rows(v, rows, ...); }) reorders hypotheses.
template <Real T, class S>
struct DecoderState {
  Var<T>
      output;  // [batch, width + context]: hidden state and context side by side; the context is fed to the next step
  S cell;
  Var<T> weights;  // [batch, heads * source time]: what the last step attended to
  static void fields(auto& s, auto&& f) { f("output", s.output), f("cell", s.cell), f("weights", s.weights); }
};

/// One step of a decoder.
template <Real T, class State>
struct DecoderStep {
  Var<T> output;  // [batch, out]
  State state;
  Var<T> weights;  // [batch, (heads,) source time]
};

/// A decoded sequence. `auto [outputs, last, weights] = ...` works.
template <Real T, class State>
struct Decoded {
  Var<T> outputs;  // [time, batch, out]; zero where a row has ended
  State last;      // each row's state after its last step
  Var<T> weights;  // [time, batch, (heads,) source time]; zero where a row has ended

  operator Var<T>() const { return outputs; }
};

namespace detail {

/// A decoder at work on one source, as a cell.
template <class D>
struct BoundDecoder {
  using T = typename D::scalar;
  using State = typename D::State;
  const D* decoder;
  AttentionMemory<T> memory;

  State initial(Tape<T>& tape, Index batch) const {
    return decoder->initial(memory, decoder->cell.initial(tape, batch));
  }
  Var<T> project(Var<T> xs) const { return decoder->cell.project(xs); }
  auto prepare(Tape<T>& tape) const {
    using Inner = decltype(prepared(decoder->cell, tape));
    return Prepared<Inner>{decoder, memory, prepared(decoder->cell, tape)};
  }
  static void fields(auto& m, auto&& f) { D::fields(*m.decoder, f); }

 private:
  template <class Inner>
  struct Prepared {
    const D* decoder;
    AttentionMemory<T> memory;
    Inner inner;
    State step(Var<T> x, const State& state, Index t) const {
      return decoder->advance(inner, x, state, memory.first(x.shape()[0]), t);
    }
  };
};

}  // namespace detail

/// Any cell as a decoder that looks at a source: at each step
///   h = cell(x, h', c')           the context c' of the step before enters beside the input: input feeding
///   c, a = attention(source, h)   the query is the new hidden state
///   y = readout(h, c, x)
/// (Luong, Pham and Manning 2015, sections 3 and 3.3, where the context is fed instead of the readout.) The context
/// enters as x does, through a matrix that adds to what the cell projects its input to: of a cell whose projection is
/// affine that is the cell on [x; c']. Inputs are projected, and outputs read out, for all steps at once.
template <class C, class A>
struct AttentionDecoder {
  static_assert(Cell<C>, "a cell has State, initial, project, step and fields: see unroll/layers/cell.h");
  static_assert(Attention<A>, "see unroll/layers/attention/attention.h for what an attention has");
  using T = cell_scalar_t<C>;
  using scalar = T;
  using State = DecoderState<T, typename C::State>;

  C cell;
  A attention;
  Matrix<T> feed;  // [context, projected input]
  Readout<T> readout;

  /// A cell of `in` features, and an attention whose queries are as wide as its hidden state. `out`, the width of the
  /// readout, is by default that of the hidden state.
  AttentionDecoder(Index in, C cell, A attention, Rng& rng, ReadoutKind kind = ReadoutKind::tanh, Index out = 0)
      : cell(std::move(cell)),
        attention(std::move(attention)),
        feed(init::uniform<T>({this->attention.width(), projected(in)},
                              1 / std::sqrt(static_cast<double>(std::max<Index>(1, this->attention.width()))), rng)),
        readout(kind, hidden() + this->attention.width(), in, out > 0 ? out : hidden(), rng) {}

  AttentionMemory<T> remember(Var<T> source, std::span<const Index> lengths = {}) const {
    return attention.remember(source, lengths);
  }
  /// The state before the first step, from one of the cell: nothing was attended to.
  State initial(const AttentionMemory<T>& memory, const typename C::State& start) const {
    Tape<T>& tape = memory.keys.tape();
    const Var<T> h = output_of<T>(start);
    const Index batch = memory.batch();
    tape.template require<ShapeError>(h.shape().rank() == 2 && h.shape()[0] == batch,
                                      "decoder: a state {} for a memory of {} rows", h.shape(), batch);
    return {concat(h, tape.zeros({batch, attention.width()})), start,
            tape.zeros({batch, batch == 0 ? 0 : attention.weights_shape(memory).size() / batch})};
  }
  State initial(const AttentionMemory<T>& memory) const {
    return initial(memory, cell.initial(memory.keys.tape(), memory.batch()));
  }

  /// One step of x [batch, in].
  DecoderStep<T, State> step(Var<T> x, const State& state, const AttentionMemory<T>& memory, Index t = 0) const {
    Tape<T>& tape = x.tape();
    check(x, 2, state, memory);
    const detail::PlaceGuard<T> place(tape, detail::place_of_layer(*this));
    const State next = advance(detail::prepared(cell, tape), cell.project(x), state, memory, t);
    return {readout(next.output, x), next, reshape(next.weights, attention.weights_shape(memory))};
  }

  /// Teacher forcing: xs [time, batch, in] are the inputs of all steps, `lengths` how many of them are valid in each
  /// row.
  Decoded<T, State> operator()(Var<T> xs, const State& state, const AttentionMemory<T>& memory,
                               std::span<const Index> lengths = {}) const {
    check(xs, 3, state, memory);
    const Shape shape = xs.shape();
    Tape<T>& tape = xs.tape();
    tape.template require<ShapeError>(lengths.empty() || static_cast<Index>(lengths.size()) == shape[1],
                                      "decoder: {} lengths for the sequence {}", lengths.size(), shape);
    for (std::size_t b = 0; b < lengths.size(); ++b)
      tape.template require<ShapeError>(lengths[b] >= 0 && lengths[b] <= shape[0],
                                        "decoder: length {} of row {} in the sequence {}", lengths[b], b, shape);
    if (std::ranges::all_of(lengths, [&](Index n) { return n == shape[0]; })) return run_full(xs, state, memory);
    return run_ragged(xs, state, memory, lengths);
  }
  Index width() const { return readout.width(hidden() + attention.width()); }
  static void fields(auto& m, auto&& f) {
    f("cell", m.cell), f("attention", m.attention), f("feed", m.feed), f("readout", m.readout);
  }

  /// The state after a step, from a projected input, for `inner`, the cell as it was prepared.
  template <class Inner>
  State advance(const Inner& inner, Var<T> x, const State& state, const AttentionMemory<T>& memory, Index t) const {
    const Index width = state.output.shape().cols();
    const Var<T> context = slice(state.output, -1, width - attention.width(), width);
    const auto next = detail::advance(inner, addmm(x, context, feed.weight), state.cell, t);
    const Shape shape = attention.weights_shape(memory);
    const Var<T> h = output_of<T>(next);
    const Attended<T> attended = attention(memory, h, reshape(state.weights, shape));
    return {concat(h, attended.context), next, reshape(attended.weights, state.weights.shape())};
  }

 private:
  Index hidden() const {
    Tape<T> tape = Tape<T>::inference();
    return output_of<T>(cell.initial(tape, 1)).shape().cols();
  }
  Index projected(Index in) const {
    Tape<T> tape = Tape<T>::inference();
    return cell.project(tape.zeros({1, in})).shape().cols();
  }
  void check(Var<T> x, int rank, const State& state, const AttentionMemory<T>& memory) const {
    Tape<T>& tape = x.tape();
    const Shape shape = tape.checked(x, "decoder").shape;
    tape.template require<ShapeError>(shape.rank() == rank, "decoder: {} is needed, not {}",
                                      rank == 2 ? "a step [batch, features]" : "a sequence [time, batch, features]",
                                      shape);
    const Index batch = shape[rank - 2];
    tape.template require<ShapeError>(memory.batch() == batch, "decoder: inputs {} for a memory of {} rows", shape,
                                      memory.batch());
    tape.template require<ShapeError>(
        state.weights.shape() == Shape{batch, batch == 0 ? 0 : attention.weights_shape(memory).size() / batch},
        "decoder: the state of another source: weights {} for a memory of weights {}", state.weights.shape(),
        attention.weights_shape(memory));
  }
  using Run = Unrolled<T, State>;
  Run unroll(Var<T> xs, const State& state, const AttentionMemory<T>& memory, std::span<const Index> lengths) const {
    return Recurrent<detail::BoundDecoder<AttentionDecoder>>(detail::BoundDecoder<AttentionDecoder>{this, memory})(
        xs, state, lengths);
  }
  /// The weights of all steps, [rows, heads * source time], one step after the other.
  static Var<T> weights_of(const Run& run) {
    const auto parts = run.outputs.tape().template room<Var<T>>(static_cast<Index>(run.steps.size()));
    for (std::size_t t = 0; t < parts.size(); ++t) parts[t] = run.steps[t].weights;
    return concat(std::span<const Var<T>>(parts), 0);
  }

  Decoded<T, State> run_full(Var<T> xs, const State& state, const AttentionMemory<T>& memory) const {
    const Shape shape = attention.weights_shape(memory).inserted(0, xs.shape()[0]);
    const Run run = unroll(xs, state, memory, {});
    const Var<T> weights = run.steps.empty() ? xs.tape().zeros(shape) : reshape(weights_of(run), shape);
    return {readout(run.outputs, xs), run.last, weights};
  }

  /// Rows are sorted once, the longest first, and the memory with them, so that those that are alive come first in it.
  Decoded<T, State> run_ragged(Var<T> xs, const State& state, const AttentionMemory<T>& memory,
                               std::span<const Index> lengths) const {
    Tape<T>& tape = xs.tape();
    const Shape shape = xs.shape();
    const Index time = shape[0], batch = shape[1];
    const auto at = [](Index i) { return static_cast<std::size_t>(i); };
    const Ragged ragged(tape, lengths, time, false);
    const auto sorted = tape.template room<Index>(batch), there = tape.template room<Index>(time * batch),
               back = tape.template room<Index>(time * batch);
    for (Index i = 0; i < batch; ++i) sorted[at(i)] = lengths[at(ragged.order[at(i)])];
    for (Index t = 0; t < time; ++t)
      for (Index i = 0; i < batch; ++i) {
        const Index row = ragged.order[at(i)];
        there[at(t * batch + i)] = t < sorted[at(i)] ? t * batch + row : -1;
        back[at(t * batch + row)] = t < sorted[at(i)] ? t * batch + i : -1;
      }
    const auto by = [](std::span<const Index> rows) {
      return [rows](Var<T> v) { return detail::gather_rows(v, rows, v.shape()); };
    };
    const Var<T> inputs = by(there)(xs);
    const Run run = unroll(inputs, map_vars(state, by(ragged.order)), memory.select(ragged.order), sorted);
    const Shape of_weights = attention.weights_shape(memory).inserted(0, time);
    const Shape flat{time, batch, state.weights.shape()[1]};
    const Var<T> weights =
        run.steps.empty() ? tape.zeros(flat) : detail::gather_rows(weights_of(run), ragged.unpacked, flat);
    return {by(back)(readout(run.outputs, inputs)), map_vars(run.last, by(ragged.rank)), reshape(weights, of_weights)};
  }
};

}  // namespace unroll::inline UNROLL_ISA
