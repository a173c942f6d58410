#pragma once

#include <unroll/autograd/ops/recompute.h>
#include <unroll/layers/recurrent.h>

namespace unroll::inline UNROLL_ISA {

/// A cell unrolled over time of which only the state between segments is kept, and each segment is computed again in
/// backward: memory for T / segment states and outputs, and for the inside of one segment. Values and random masks are
/// those of Recurrent (without its scan) bit for bit, and so are the gradients of inputs and states where all rows have
/// the same length; the gradients of the weights, and all of ragged batches, agree to rounding.
template <class C>
struct Checkpointed {
  using T = cell_scalar_t<C>;
  using scalar = T;
  using State = typename C::State;

  Recurrent<C> layer;
  Index segment;

  Checkpointed(C cell, Index segment) : layer(std::move(cell)), segment(segment) {
    require<ValueError>(segment > 0, "checkpointed: a segment of {} steps", segment);
    layer.scan = false;
  }

  State initial(Tape<T>& tape, Index batch) const { return layer.initial(tape, batch); }
  State step(Var<T> x, const State& state) const { return layer.step(x, state); }
  Unrolled<T, State> operator()(Var<T> xs, std::span<const Index> lengths = {}) const {
    check(xs, lengths);
    return run(xs, initial(xs.tape(), xs.shape()[1]), lengths);
  }
  Unrolled<T, State> operator()(Var<T> xs, const State& state, std::span<const Index> lengths = {}) const {
    check(xs, lengths);
    return run(xs, state, lengths);
  }
  Index width() const { return layer.width(); }
  static void fields(auto& m, auto&& f) { f("cell", m.layer.cell); }

 private:
  struct Inputs {
    Var<T> xs;
    State state;
    static void fields(auto& s, auto&& f) { f("xs", s.xs), f("state", s.state); }
  };
  struct Results {
    Var<T> outputs;
    State state;
    static void fields(auto& s, auto&& f) { f("outputs", s.outputs), f("state", s.state); }
  };

  void check(Var<T> xs, std::span<const Index> lengths) const {
    Tape<T>& tape = xs.tape();
    const detail::PlaceGuard<T> place(tape, detail::place_of_layer(layer.cell));
    const Shape shape = tape.checked(xs, "checkpointed").shape;
    tape.template require<ShapeError>(shape.rank() == 3,
                                      "checkpointed: a sequence [time, batch, features] is needed, not {}", shape);
    tape.template require<ShapeError>(lengths.empty() || static_cast<Index>(lengths.size()) == shape[1],
                                      "checkpointed: {} lengths for the sequence {}", lengths.size(), shape);
    for (std::size_t b = 0; b < lengths.size(); ++b)
      tape.template require<ShapeError>(lengths[b] >= 0 && lengths[b] <= shape[0],
                                        "checkpointed: length {} of row {} in the sequence {}", lengths[b], b, shape);
  }

  Unrolled<T, State> run(Var<T> xs, State state, std::span<const Index> lengths) const {
    Tape<T>& tape = xs.tape();
    const Shape shape = xs.shape();
    if (lengths.empty() || shape[0] == 0) return run_sorted(xs, state, lengths);
    // Sorted once, so that rows keep their places, and with them their random numbers, from segment to segment.
    const Ragged ragged(tape, lengths, shape[0], false);
    const auto to_sorted = tape.template room<Index>(shape[0] * shape[1]),
               back = tape.template room<Index>(shape[0] * shape[1]);
    const auto sorted = tape.template room<Index>(shape[1]);
    for (Index b = 0; b < shape[1]; ++b) {
      const auto place = static_cast<std::size_t>(b);
      sorted[place] = lengths[static_cast<std::size_t>(ragged.order[place])];
      for (Index t = 0; t < shape[0]; ++t) {
        const Index source = t * shape[1] + ragged.order[place], at = t * shape[1] + b;
        const bool valid = t < sorted[place];
        to_sorted[static_cast<std::size_t>(at)] = valid ? source : -1;
        back[static_cast<std::size_t>(source)] = valid ? at : -1;
      }
    }
    const auto by = [&](std::span<const Index> rows) {
      return [rows](Var<T> v) { return detail::gather_rows(v, rows, v.shape()); };
    };
    const auto unrolled =
        run_sorted(detail::gather_rows(xs, to_sorted, shape), map_vars(state, by(ragged.order)), sorted);
    return {by(back)(unrolled.outputs), map_vars(unrolled.last, by(ragged.rank))};
  }

  Unrolled<T, State> run_sorted(Var<T> xs, State state, std::span<const Index> lengths) const {
    Tape<T>& tape = xs.tape();
    const Index time = xs.shape()[0], batch = xs.shape()[1], width = output_of<T>(state).shape().cols();
    if (time <= segment) return layer(xs, state, lengths);
    const Index count = (time + segment - 1) / segment;
    const auto outputs = tape.template room<Var<T>>(count);
    const auto slab = tape.reserve({time, batch, width});
    const Rng start = tape.rng();
    const detail::PlaceGuard<T> place(tape, detail::place_of_layer(layer.cell));
    for (Index k = 0; k < count; ++k) {
      const Index first = k * segment, last = std::min(time, first + segment);
      const auto within = tape.template room<Index>(static_cast<Index>(lengths.size()));
      for (std::size_t b = 0; b < within.size(); ++b)
        within[b] = std::clamp(lengths[b] - first, Index{0}, last - first);
      const auto compute = [layer = &layer, within, part = typename Recurrent<C>::Part{first, start}](
                               Tape<T>&, const Inputs& in) {
        const auto unrolled = layer->resume(part, in.xs, in.state, within);
        return Results{unrolled.outputs, unrolled.last};
      };
      const Results results =
          checkpoint(tape, Inputs{slice(xs, 0, first, last), state}, compute, &slab, first * batch * width);
      outputs[static_cast<std::size_t>(k)] = results.outputs;
      state = results.state;
    }
    return {tape.training() ? tape.whole(slab, outputs) : concat(std::span<const Var<T>>(outputs), 0), state};
  }
};

template <Cell C>
Checkpointed(C, Index) -> Checkpointed<C>;

}  // namespace unroll::inline UNROLL_ISA
