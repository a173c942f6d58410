#pragma once

#include <utility>

#include <unroll/layers/cell.h>
#include <unroll/layers/place.h>
#include <unroll/layers/ragged.h>

namespace unroll::inline UNROLL_ISA {

/// What a sequence layer returns. It converts to its outputs, and `auto [outputs, last] = layer(xs)` works.
template <Real T, class State>
struct Unrolled {
  using scalar = T;
  Var<T> outputs;  // [time, batch, width]; zero where a row has ended
  State last;      // each row's state after its last valid step
  /// The state after each step, valid until the tape is rewound. Of a ragged batch, step t holds the rows that are
  /// still alive, longest first.
  std::span<const State> steps = {};

  operator Var<T>() const { return outputs; }

  template <std::size_t I>
  const auto& get() const {
    if constexpr (I == 0)
      return outputs;
    else
      return last;
  }
};

/// What a layer returns with its outputs as they were computed. Of a ragged batch: the valid steps alone.
template <Real T, class State>
struct PackedUnrolled {
  Var<T> outputs;                // [time, batch, width], or of a ragged batch [valid steps, width]
  Shape shape;                   // [time, batch, width]
  std::span<const Index> where;  // of a ragged batch: the row of outputs for each row of that, -1 for padding
  State last;
  std::span<const State> steps = {};

  Unrolled<T, State> unpacked() const {
    return {where.empty() ? outputs : gather_rows(outputs, where, shape), last, steps};
  }
};

namespace detail {
/// The outputs of a layer, step by step, as they come to lie in one block of memory. The first step shows which of the
/// values that a step records is its output; those of later steps are computed in their place, and what appears
/// elsewhere is copied there.
template <Real T>
class Outputs {
 public:
  Outputs(Tape<T>& tape, Index steps, const Shape& whole)
      : tape_(tape), parts_(tape.template room<Var<T>>(steps)), shape_(whole) {
    if (steps > 1) slab_ = tape.reserve(whole);
  }

  /// Before a step whose output has the shape given and belongs at `row` of the block.
  void expect(Index row, const Shape& step) {
    offset_ = row * shape_.cols();
    step_ = step;
    mark_ = tape_.mark();
    if (known_) tape_.await(slab_, offset_, step, ahead_);
  }
  /// The state after that step, whose output is part i of the block: the state to go on with.
  template <class State>
  State put(Index i, const State& state) {
    bool first = true;
    return map_vars(state, [&](Var<T> v) { return std::exchange(first, false) ? place(i, v) : v; });
  }
  Var<T> all() const {
    const std::span<const Var<T>> parts(parts_);
    if (parts.size() == 1) return unroll::reshape(parts[0], shape_);
    if (joined_) return tape_.whole(slab_, parts);
    return shape_.rank() == 3 ? unroll::stack(parts) : unroll::concat(parts, 0);
  }

 private:
  Var<T> place(Index i, Var<T> y) {
    Var<T>& part = parts_[static_cast<std::size_t>(i)] = y;
    const bool taken = known_ && !tape_.awaits();
    if (taken && tape_.lies_at(y, slab_, offset_)) return y;
    known_ = y.index() >= mark_;
    ahead_ = y.index() - mark_;
    joined_ = joined_ && !taken && y.shape() == step_;
    if (!joined_ || parts_.size() == 1) return y;
    tape_.await(slab_, offset_, step_, 0);
    return part = unroll::concat(std::span<const Var<T>>(&y, 1), 0);
  }

  Tape<T>& tape_;
  std::span<Var<T>> parts_;
  Shape shape_;
  typename Tape<T>::Slab slab_{};
  Index offset_ = 0;
  Shape step_;
  std::uint32_t mark_ = 0, ahead_ = 0;
  bool known_ = false;  // which value of a step its output is
  bool joined_ = true;  // all outputs so far lie in the block
};

}  // namespace detail

/// A cell unrolled over time: the only such loop in the library. Back-propagation through time is the tape's reverse
/// loop over what it recorded.
template <class C>
struct Recurrent {
  static_assert(Cell<C>, "a cell has State, initial, project, step and fields: see unroll/layers/cell.h");
  using State = typename C::State;
  using T = cell_scalar_t<C>;
  using scalar = T;

  C cell;
  bool scan = true;  // a cell whose recurrence is linear runs over all steps at once; Unrolled::steps is then empty

  template <class... Args>
    requires std::constructible_from<C, Args...>
  Recurrent(Args&&... args) : cell(std::forward<Args>(args)...) {}

  /// The state a sequence starts from if none is given.
  State initial(Tape<T>& tape, Index batch) const { return cell.initial(tape, batch); }
  /// One step of x [batch, in], for streaming and for feeding outputs back.
  State step(Var<T> x, const State& state) const {
    return detail::advance(detail::prepared(cell, x.tape()), cell.project(x), state, 0);
  }

  /// xs is [time, batch, in]. `lengths`, one per row, are how many steps of it are valid; what lies behind them is
  /// never read. Throws ShapeError naming layer and step.
  Unrolled<T, State> operator()(Var<T> xs, std::span<const Index> lengths = {}) const {
    return run(xs, nullptr, lengths, false).unpacked();
  }
  Unrolled<T, State> operator()(Var<T> xs, const State& state, std::span<const Index> lengths = {}) const {
    return run(xs, &state, lengths, false).unpacked();
  }
  /// The same from each row's last valid step to its first; outputs lie at the steps of their inputs.
  Unrolled<T, State> backwards(Var<T> xs, std::span<const Index> lengths = {}) const {
    return run(xs, nullptr, lengths, true).unpacked();
  }
  Unrolled<T, State> backwards(Var<T> xs, const State& state, std::span<const Index> lengths = {}) const {
    return run(xs, &state, lengths, true).unpacked();
  }
  /// Either of them, for who puts the outputs in their places: `state` may be null.
  PackedUnrolled<T, State> packed(Var<T> xs, const State* state, std::span<const Index> lengths, bool backwards) const {
    return run(xs, state, lengths, backwards);
  }

  /// Where in a longer sequence a call begins: the steps before it, and the random source at its start, from which
  /// `prepare` drew.
  struct Part {
    Index first = 0;
    Rng start;
  };
  /// The same for a part of a sequence, as the call for the whole sequence would go on.
  Unrolled<T, State> resume(const Part& part, Var<T> xs, const State& state,
                            std::span<const Index> lengths = {}) const {
    return run(xs, &state, lengths, false, &part).unpacked();
  }

  /// Width of the outputs.
  Index width() const {
    Tape<T> tape = Tape<T>::inference();
    return output_of<T>(initial(tape, 1)).shape().cols();
  }
  static void fields(auto& m, auto&& f) { f("cell", m.cell); }

 private:
  void check_sequence(Var<T> xs) const {
    const Shape shape = xs.tape().checked(xs, "recurrent").shape;
    require_here<ShapeError>(xs.tape(), shape.rank() == 3,
                             "recurrent: a sequence [time, batch, features] is needed, not {}", shape);
  }
  template <class E, class... Args>
  void require_here(Tape<T>& tape, bool ok, fmt::format_string<Args...> text, Args&&... args) const {
    if (ok) return;
    const detail::PlaceGuard<T> place(tape, detail::place_of_layer(cell));
    tape.template require<E>(false, text, std::forward<Args>(args)...);
  }

  Shape state_shape(Tape<T>& tape, const Var<T>& v) const {
    const detail::PlaceGuard<T> place(tape, detail::place_of_layer(cell));
    return tape.checked(v, "recurrent").shape;
  }

  PackedUnrolled<T, State> run(Var<T> xs, const State* given, std::span<const Index> lengths, bool backwards,
                               const Part* part = nullptr) const {
    check_sequence(xs);
    Tape<T>& tape = xs.tape();
    const Shape shape = xs.shape();
    const State state = given == nullptr ? initial(tape, shape[1]) : *given;
    for_each_var(state, [&](const Var<T>& v) {
      const Shape s = state_shape(tape, v);
      require_here<ShapeError>(tape, s.rank() >= 1 && s[0] == shape[1],
                               "recurrent: the initial state {} does not fit the sequence {}", s, shape);
    });
    for (std::size_t b = 0; b < lengths.size(); ++b)
      require_here<ShapeError>(tape, lengths[b] >= 0 && lengths[b] <= shape[0],
                               "recurrent: length {} of row {} in the sequence {}", lengths[b], b, shape);
    require_here<ShapeError>(tape, lengths.empty() || static_cast<Index>(lengths.size()) == shape[1],
                             "recurrent: {} lengths for the sequence {}", lengths.size(), shape);
    const bool full = std::all_of(lengths.begin(), lengths.end(), [&](Index n) { return n == shape[0]; });
    if constexpr (LinearCell<C>)
      if (scan && tape.watcher() == nullptr && detail::is_linear(cell) && shape[0] > 0 && shape[1] > 0)
        return full && !backwards ? scan_full(xs, state) : scan_ragged(xs, state, lengths, backwards);
    return full ? run_full(xs, state, backwards, part) : run_ragged(xs, state, lengths, backwards, part);
  }

  /// What the cell prepares for a sequence; of a part of one, with the numbers that were drawn at its start.
  decltype(auto) prepared(Tape<T>& tape, const Part* part) const {
    if constexpr (requires { cell.prepare(tape); }) {
      const bool again = part != nullptr && part->first > 0;
      const Rng now = tape.rng();
      if (again) tape.rng() = part->start;
      auto stepper = cell.prepare(tape);
      if (again) tape.rng() = now;
      return stepper;
    } else {
      return (cell);
    }
  }

  /// Of a batch without a valid step.
  static PackedUnrolled<T, State> nothing(Tape<T>& tape, const Shape& xs, const State& state) {
    const Shape shape = output_of<T>(state).shape().inserted(0, xs[0]);
    return {tape.zeros(shape), shape, {}, state};
  }

  PackedUnrolled<T, State> scan_full(Var<T> xs, State state) const {
    Tape<T>& tape = xs.tape();
    const Index time = xs.shape()[0], batch = xs.shape()[1];
    const Var<T> projected = cell.project(xs);
    const detail::PlaceGuard<T> place(tape, detail::place_of_layer(cell));
    const auto alive = tape.template room<Index>(time), offsets = tape.template room<Index>(time);
    std::fill(alive.begin(), alive.end(), batch);
    for (Index t = 0; t < time; ++t) offsets[static_cast<std::size_t>(t)] = t * batch;
    const Var<T> rows = reshape(projected, {time * batch, projected.shape().cols()});
    const Var<T> outputs = cell.scan(rows, state, {alive, offsets});
    const Shape shape{time, batch, outputs.shape().cols()};
    return {reshape(outputs, shape), shape, {}, state};
  }

  PackedUnrolled<T, State> scan_ragged(Var<T> xs, State state, std::span<const Index> lengths, bool backwards) const {
    Tape<T>& tape = xs.tape();
    const Shape shape = xs.shape();
    const auto all = tape.template room<Index>(shape[1]);
    std::fill(all.begin(), all.end(), shape[0]);
    const Ragged ragged(tape, lengths.empty() ? std::span<const Index>(all) : lengths, shape[0], backwards);
    if (ragged.rows == 0) return nothing(tape, shape, state);
    const Var<T> projected = cell.project(detail::gather_rows(xs, ragged.packed, Shape{ragged.rows, shape[2]}));
    const detail::PlaceGuard<T> place(tape, detail::place_of_layer(cell));
    state = map_vars(state, [&](Var<T> v) { return detail::gather_rows(v, ragged.order, v.shape()); });
    const Var<T> outputs = cell.scan(projected, state, {ragged.alive, ragged.offsets});
    state = map_vars(state, [&](Var<T> v) { return detail::gather_rows(v, ragged.rank, v.shape()); });
    return {outputs, shape.with(2, outputs.shape().cols()), ragged.unpacked, state};
  }

  PackedUnrolled<T, State> run_full(Var<T> xs, State state, bool backwards, const Part* part) const {
    Tape<T>& tape = xs.tape();
    const Index time = xs.shape()[0], batch = xs.shape()[1];
    const Shape step_shape = output_of<T>(state).shape();
    if (time == 0) return nothing(tape, xs.shape(), state);
    const std::uint32_t mark = tape.mark();
    const Watched watched(tape, cell);
    const Var<T> projected = cell.project(xs);
    detail::PlaceGuard<T> place(tape, detail::place_of_layer(cell));
    const auto& stepper = prepared(tape, part);
    const Index before_first = part == nullptr ? 0 : part->first;
    const auto steps = tape.template room<State>(time);
    detail::Outputs<T> outputs(tape, time, step_shape.inserted(0, time));
    const State before = state;
    for (Index t = 0; t < time; ++t) {
      place.step(before_first + t);
      const Index at = backwards ? time - 1 - t : t;
      const Var<T> x = projected[at];
      tape.grant(x, mark);
      outputs.expect(at * batch, step_shape);
      state = outputs.put(at, detail::advance(stepper, x, state, before_first + t));
      if (t == 0) check_step(before, state);
      steps[static_cast<std::size_t>(t)] = state;
      state = watched.carried(before_first + t, state);
    }
    return {outputs.all(), step_shape.inserted(0, time), {}, state, steps};
  }

  PackedUnrolled<T, State> run_ragged(Var<T> xs, State state, std::span<const Index> lengths, bool backwards,
                                      const Part* part) const {
    Tape<T>& tape = xs.tape();
    const Shape shape = xs.shape();
    const Ragged ragged(tape, lengths, shape[0], backwards);
    const State before = map_vars(state, [&](Var<T> v) { return detail::gather_rows(v, ragged.order, v.shape()); });
    if (ragged.rows == 0) return nothing(tape, shape, state);
    const std::uint32_t mark = tape.mark();
    const Var<T> packed = detail::gather_rows(xs, ragged.packed, Shape{ragged.rows, shape[2]});
    const Watched watched(tape, cell);
    const Var<T> projected = cell.project(packed);
    detail::PlaceGuard<T> place(tape, detail::place_of_layer(cell));
    const auto& stepper = prepared(tape, part);
    const Index before_first = part == nullptr ? 0 : part->first;
    const auto steps = tape.template room<State>(ragged.steps());
    const Shape output_shape = output_of<T>(state).shape();
    detail::Outputs<T> outputs(tape, ragged.steps(), output_shape.with(0, ragged.rows));
    state = before;
    for (Index t = 0; t < ragged.steps(); ++t) {
      place.step(before_first + t);
      const Index alive = ragged.alive[static_cast<std::size_t>(t)];
      const Index offset = ragged.offsets[static_cast<std::size_t>(t)];
      const Var<T> x = slice(projected, 0, offset, offset + alive);
      tape.grant(x, mark);
      const State narrowed =
          map_vars(state, [&](Var<T> v) { return v.shape()[0] == alive ? v : slice(v, 0, 0, alive); });
      outputs.expect(offset, output_shape.with(0, alive));
      state = outputs.put(t, detail::advance(stepper, x, narrowed, before_first + t));
      if (t == 0) check_step(narrowed, state);
      steps[static_cast<std::size_t>(t)] = state;
      state = watched.carried(before_first + t, state);
    }
    const Var<T> all = outputs.all();
    return {all, shape.with(2, all.shape().cols()), ragged.unpacked, last_of(ragged, before, steps), steps};
  }

  /// The first step shows whether the cell's step keeps the shapes of its state.
  static void check_step(const State& before, const State& after) {
    int k = 0;
    for_each_var(before, [&](const Var<T>& v) {
      const Var<T> next = nth_var<T>(after, k++);
      v.tape().template require<ShapeError>(!next.empty() && next.shape() == v.shape(),
                                            "recurrent: step makes a state of {} of one of {}",
                                            next.empty() ? Shape{} : next.shape(), v.shape());
    });
  }
  /// Tells the tape's watcher, if there is one, of the sequence that begins, its steps and its end.
  struct Watched {
    Watcher<T>* watcher;
    Watched(Tape<T>& tape, const C& cell) : watcher(tape.watcher()) {
      if (watcher != nullptr) watcher->begin(detail::place_of_layer(cell));
    }
    ~Watched() {
      if (watcher != nullptr) watcher->end();
    }
    Watched(const Watched&) = delete;
    Watched& operator=(const Watched&) = delete;
    State carried(Index step, const State& state) const {
      if (watcher == nullptr) return state;
      int k = 0;
      return map_vars(state, [&](Var<T> v) { return watcher->state(k++, step, v); });
    }
  };

  /// The state after each row's last valid step, in the user's order: of the longest rows that after the last step, and
  /// so on down to rows without a step, whose state is the one before the first.
  static State last_of(const Ragged& ragged, const State& before, std::span<const State> steps) {
    int k = 0;
    return map_vars(before, [&](Var<T> first) {
      Tape<T>& tape = first.tape();
      const auto parts = tape.template room<Var<T>>(ragged.steps() + 1);
      std::size_t count = 0;
      Index ended = 0;
      for (Index t = ragged.steps(); t-- > 0;) {
        const Index alive = ragged.alive[static_cast<std::size_t>(t)];
        if (alive > ended) parts[count++] = slice(nth_var<T>(steps[static_cast<std::size_t>(t)], k), 0, ended, alive);
        ended = alive;
      }
      const Index batch = first.shape()[0];
      if (batch > ended) parts[count++] = slice(first, 0, ended, batch);
      ++k;
      return detail::gather_rows(concat(std::span<const Var<T>>(parts.first(count)), 0), ragged.rank, first.shape());
    });
  }
};

template <Cell C>
Recurrent(C) -> Recurrent<C>;

}  // namespace unroll::inline UNROLL_ISA

template <class T, class State>
struct std::tuple_size<unroll::Unrolled<T, State>> : std::integral_constant<std::size_t, 2> {};
template <class T, class State>
struct std::tuple_element<0, unroll::Unrolled<T, State>> {
  using type = const unroll::Var<T>;
};
template <class T, class State>
struct std::tuple_element<1, unroll::Unrolled<T, State>> {
  using type = const State;
};
