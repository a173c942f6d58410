#pragma once

#include <optional>
#include <ranges>
#include <string>

#include <unroll/autograd/tape/tape.h>

// A struct says what it is made of in one function:
//   static void fields(auto& m, auto&& f) { f("embed", m.embed), f("rnn", m.rnn); }
// Everything that walks a model or a recurrent state derives from it.

namespace unroll::inline UNROLL_ISA {
namespace detail {

struct AnyField {
  void operator()(const char*, auto&) const {}
};

template <class X>
inline constexpr bool is_var = false;
template <class T>
inline constexpr bool is_var<Var<T>> = true;
template <class X>
inline constexpr bool is_parameter = false;
template <class T>
inline constexpr bool is_parameter<Parameter<T>> = true;
template <class X>
inline constexpr bool is_optional = false;
template <class X>
inline constexpr bool is_optional<std::optional<X>> = true;

}  // namespace detail

/// A struct whose parts are listed by a static function `fields`.
template <class M>
concept HasFields = requires(M& m) { std::remove_cvref_t<M>::fields(m, detail::AnyField{}); };

/// Calls f for each Var of a state: a Var, a struct of them with `fields`, or a list of such.
template <class S, class F>
void for_each_var(S& state, F&& f) {
  using X = std::remove_cvref_t<S>;
  if constexpr (detail::is_var<X>)
    f(state);
  else if constexpr (HasFields<X>)
    X::fields(state, [&](const char*, auto& part) { for_each_var(part, f); });
  else if constexpr (std::ranges::range<X>)
    for (auto& part : state) for_each_var(part, f);
  else
    static_assert(detail::is_var<X>, "a state is a Var, a struct with `fields`, or a list of states");
}

/// A state of the same form whose Vars are f of the old ones.
template <class S, class F>
S map_vars(const S& state, F&& f) {
  S result = state;
  for_each_var(result, [&](auto& v) { v = f(v); });
  return result;
}

/// The Var number k of a state; the first is what a cell puts out.
template <Real T, class S>
Var<T> nth_var(const S& state, int k) {
  Var<T> result;
  for_each_var(state, [&](const Var<T>& v) {
    if (k-- == 0) result = v;
  });
  return result;
}
template <Real T, class S>
Var<T> output_of(const S& state) {
  return nth_var<T>(state, 0);
}

template <Real T>
template <class State>
State Tape<T>::restart(const State& state) {
  Index total = 0;
  for_each_var(state, [&](const Var<T>& v) { total += checked(v, "restart").shape.size(); });
  const std::span<T> kept = scratch<T>(total);
  T* at = kept.data();
  for_each_var(state, [&](const Var<T>& v) {
    const View<const T> from = values(v.index());
    for (Index r = 0; r < from.rows; ++r, at += from.cols) std::copy_n(from.row(r), from.cols, at);
  });
  std::array<Shape, 64> shapes;
  std::size_t count = 0;
  for_each_var(state, [&](const Var<T>& v) {
    require<ValueError>(count < shapes.size(), "restart: a state of more than {} arrays", shapes.size());
    shapes[count++] = nodes_[v.index()].shape;
  });
  rewind();
  State result = state;
  at = kept.data();
  count = 0;
  for_each_var(result, [&](Var<T>& v) {
    const Shape& shape = shapes[count++];
    v = constant(shape, std::span<const T>(at, static_cast<std::size_t>(shape.size())));
    at += shape.size();
  });
  return result;
}

}  // namespace unroll::inline UNROLL_ISA
