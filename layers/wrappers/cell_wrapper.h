#pragma once

#include <unroll/layers/cell.h>

namespace unroll::inline UNROLL_ISA {

/// What wrappers of cells share. `Self` has next(inner, x, state, t): one step, where detail::advance(inner, x, state,
/// t) is that of the cell inside.
template <class Self, class C>
struct CellWrapper {
  using State = typename C::State;
  using T = cell_scalar_t<C>;

  C cell;

  State initial(Tape<T>& tape, Index batch) const { return cell.initial(tape, batch); }
  Var<T> project(Var<T> xs) const { return cell.project(xs); }
  auto prepare(Tape<T>& tape) const {
    using Inner = decltype(detail::prepared(cell, tape));
    return Prepared<Inner>{static_cast<const Self&>(*this), detail::prepared(cell, tape)};
  }
  static void fields(auto& m, auto&& f) { f("cell", m.cell); }

 private:
  template <class Inner>
  struct Prepared {
    const Self& self;
    Inner inner;
    template <class S>
    S step(Var<T> x, const S& state, Index t) const {
      return self.next(inner, x, state, t);
    }
  };
};

/// A state that is f(memory of a, memory of b) in each array that the cell remembers by, and as `b` in the others.
template <class State, class F>
State combine_memories(const State& a, const State& b, F f) {
  int k = 0;
  const int count = memories(a);
  return map_vars(b, [&](auto v) {
    using V = decltype(v);
    const V before = nth_var<typename V::scalar>(a, k);
    return k++ < count ? V(f(before, v)) : v;
  });
}

}  // namespace unroll::inline UNROLL_ISA
