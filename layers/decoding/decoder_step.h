#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <unroll/autograd/ops/layout.h>
#include <unroll/autograd/tape/fields.h>

// What a decoder knows of a model: a function from the last symbols and a state to logits and the next state.

namespace unroll::inline UNROLL_ISA {

/// What a step of a model returns to a decoder; a pair of logits and state converts to it.
template <Real T, class S>
struct DecoderOutput {
  Var<T> logits;     // [rows, vocabulary]
  S state;           // arrays [rows, ...]
  Var<T> attention;  // [rows, source], the weights of this step; none: empty

  DecoderOutput(Var<T> logits, const S& state, Var<T> attention = {})
      : logits(logits), state(state), attention(attention) {}
  DecoderOutput(const std::pair<Var<T>, S>& pair) : DecoderOutput(pair.first, pair.second) {}
};

/// A model without a memory beside its state.
struct NoMemory {
  static void fields(auto&, auto&&) {}
};

namespace detail {

template <class Step, class T, class State, class Memory>
auto call_step(Step& step, Tape<T>& tape, std::span<const std::int32_t> tokens, const State& state,
               const Memory& memory) {
  if constexpr (std::same_as<Memory, NoMemory>)
    return step(tape, tokens, state);
  else
    return step(tape, tokens, state, memory);
}

/// Elements `rows` of an axis, in their order.
template <Real T>
Var<T> take(Var<T> x, std::span<const Index> rows, int axis) {
  const Shape shape = x.shape();
  const int at = axis_of(x.tape(), shape, axis, "repeat_rows");
  const auto count = static_cast<Index>(rows.size()), extent = shape[at];
  Index outer = 1, inner = 1;
  for (int i = 0; i < shape.rank(); ++i) (i < at ? outer : inner) *= i == at ? 1 : shape[i];
  const auto all = x.tape().template room<Index>(outer * count);
  for (Index o = 0; o < outer; ++o)
    for (Index r = 0; r < count; ++r)
      all[static_cast<std::size_t>(o * count + r)] = o * extent + rows[static_cast<std::size_t>(r)];
  const Var<T> flat = reshape(x, Shape{outer * extent, inner});
  return reshape(gather_rows(flat, all, Shape{outer * count, inner}), shape.with(at, count));
}

/// Where the steps of a decoder run: two inference tapes by turns, so that a state goes from one to the other in one
/// copy, and neither holds more than a step.
template <Real T>
class StepTapes {
 public:
  Tape<T>& current() { return turn_ ? a_ : b_; }
  /// The rows of a state, from the tape where it lies, on the tape where the next step is to run.
  template <class State>
  State advance(const State& state, std::span<const Index> rows, const char* op, Index rows_before) {
    turn_ = !turn_;
    Tape<T>& to = current();
    to.rewind();
    return map_vars(state, [&](Var<T> v) {
      const Shape shape = v.shape();
      v.tape().template require<ShapeError>(shape.rank() > 0 && shape[0] == rows_before,
                                            "{}: a state of {} for {} rows", op, shape, rows_before);
      return take(v.tape().lend(to, v, false), rows, 0);
    });
  }
  /// Handles on the current tape for values of another.
  template <class Memory>
  Memory lend(const Memory& memory) {
    return map_vars(memory, [&](Var<T> v) { return v.tape().lend(current(), v, false); });
  }

 private:
  Tape<T> a_ = Tape<T>::inference(), b_ = Tape<T>::inference();
  bool turn_ = false;
};

/// Throws TapeError where an array does not lie on the tape.
template <Real T, class Arrays>
void check_on(const Tape<T>& tape, const Arrays& arrays, const char* op) {
  for_each_var(arrays, [&](const Var<T>& v) { tape.checked(v, op); });
}

/// The logits of a step as a rectangle, after their shape was checked.
template <Real T>
View<const T> checked_logits(Var<T> logits, Index rows, const char* op) {
  Tape<T>& tape = logits.tape();
  const Shape shape = tape.checked(logits, op).shape;
  tape.template require<ShapeError>(shape.rank() == 2 && shape[0] == rows && shape[1] > 0,
                                    "{}: logits are [rows, vocabulary] with {} rows, not {}", op, rows, shape);
  return values(logits);
}
/// The attention weights of a step likewise; nothing where it gave none.
template <Real T>
View<const T> checked_attention(Var<T> attention, Index rows, const char* op) {
  if (attention.empty()) return {};
  Tape<T>& tape = attention.tape();
  const Shape shape = tape.checked(attention, op).shape;
  tape.template require<ShapeError>(shape.rank() == 2 && shape[0] == rows && shape[1] > 0,
                                    "{}: attention weights are [rows, source] with {} rows, not {}", op, rows, shape);
  return values(attention);
}

}  // namespace detail

/// Each row `count` times, one after the other, in all arrays of a Var, a struct of them with `fields`, or a list of
/// such: one row for each beam. `axis` is that of the rows: 0 in a state [batch, width], 1 in a sequence
/// [time, batch, width].
template <class S>
S repeat_rows(const S& arrays, Index count, int axis = 0) {
  require<ValueError>(count > 0, "repeat_rows: {} times", count);
  return map_vars(arrays, [&](auto v) {
    const Index extent = v.shape()[detail::axis_of(v.tape(), v.shape(), axis, "repeat_rows")];
    std::vector<Index> rows(static_cast<std::size_t>(extent * count));
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<Index>(i) / count;
    return detail::take(v, rows, axis);
  });
}

}  // namespace unroll::inline UNROLL_ISA
