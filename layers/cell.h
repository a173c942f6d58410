#pragma once

#include <unroll/autograd/ops/elementwise.h>
#include <unroll/autograd/ops/layout.h>
#include <unroll/autograd/ops/linalg.h>
#include <unroll/autograd/ops/scan.h>
#include <unroll/layers/linear.h>

namespace unroll::inline UNROLL_ISA {

namespace detail {
template <class C>
concept FloatCell = requires(const C& cell, Var<float> xs) { cell.project(xs); };

/// Steps from x and a state, or from x, a state and the index of the step.
template <class S, class T, class State>
concept Stepper = requires(const S& s, Var<T> x, const State& state) {
  { s.step(x, state) } -> std::convertible_to<State>;
} || requires(const S& s, Var<T> x, const State& state, Index t) {
  { s.step(x, state, t) } -> std::convertible_to<State>;
};

template <class S, class T, class State>
State advance(const S& stepper, Var<T> x, const State& state, Index t) {
  if constexpr (requires { stepper.step(x, state, t); })
    return stepper.step(x, state, t);
  else
    return stepper.step(x, state);
}

/// What prepare(tape) returns, or else the cell itself.
template <class C, class T>
decltype(auto) prepared(const C& cell, Tape<T>& tape) {
  if constexpr (requires { cell.prepare(tape); })
    return cell.prepare(tape);
  else
    return (cell);
}
}  // namespace detail

/// The scalar a cell computes in.
template <class C>
using cell_scalar_t = std::conditional_t<detail::FloatCell<C>, float, double>;

/// What is unrolled over time. A cell has
/// - `State`: a Var [batch, width], or a struct whose `fields` lists its Vars; the first is the output;
/// - `initial(tape, batch)`: the state before the first step;
/// - `project(xs)`: all that depends on the inputs alone, for all steps at once; xs is [..., in];
/// - `step(x, state)`, or `step(x, state, t)`: the next state, from one step of the projection;
/// - `fields`: its parameters.
/// It may have `prepare(tape)`, which is called once per sequence and returns the object whose step is called.
template <class C>
concept Cell = HasFields<const C> && std::is_trivially_copyable_v<typename C::State> &&
               requires(const C& cell, Tape<cell_scalar_t<C>>& tape, Var<cell_scalar_t<C>> xs) {
                 { cell.initial(tape, Index{}) } -> std::convertible_to<typename C::State>;
                 { cell.project(xs) } -> std::convertible_to<Var<cell_scalar_t<C>>>;
                 { detail::prepared(cell, tape) } -> detail::Stepper<cell_scalar_t<C>, typename C::State>;
               };

/// The inputs of `gates` gates side by side, [in, gates * width]: each drawn by itself, with biases of 0, and of 1 for
/// the gate `open`.
template <Real T>
Linear<T> gate_inputs(Index in, Index width, Index gates, Rng& rng, Index open = -1) {
  Linear<T> linear(init::xavier<T>({in, gates * width}, rng, gates), make_tensor<T>({gates * width}, T(0)));
  if (open >= 0) std::fill_n(linear.bias.edit().data() + open * width, width, T(1));
  return linear;
}

/// A cell whose recurrence is linear, so that `scan(projected, state, steps)` computes the outputs of all steps at
/// once: projected is [rows, ...], the rows of a packed sequence; `state` comes in sorted as they are and goes out as
/// that after each row's last step.
template <class C>
concept LinearCell =
    requires(const C& cell, Var<cell_scalar_t<C>> rows, typename C::State& state, const ScanSteps& steps) {
      { cell.scan(rows, state, steps) } -> std::convertible_to<Var<cell_scalar_t<C>>>;
    };

namespace detail {
template <class C>
bool is_linear(const C& cell) {
  if constexpr (requires { cell.linear(); })
    return cell.linear();
  else
    return LinearCell<C>;
}
}  // namespace detail

/// How many arrays of a state, the first ones, are what the cell remembers; any others keep its books (a clock, a
/// window of inputs).
template <class State>
int memories(const State& state) {
  if constexpr (requires { state.memories; })
    return state.memories;
  else
    return std::numeric_limits<int>::max();
}

/// A hidden state and a cell state, each [batch, width].
template <Real T = float>
struct HiddenAndCell {
  Var<T> h, c;
  static void fields(auto& s, auto&& f) { f("h", s.h), f("c", s.c); }
};

}  // namespace unroll::inline UNROLL_ISA
