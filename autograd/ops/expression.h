#pragma once

#include <string>

#include <unroll/autograd/ops/record.h>
#include <unroll/autograd/tensor/simd.h>

// The nodes of an expression of handles. Each evaluates itself for one register of every leaf (`eval`), or so that its
// operands' values are known after (`trace`), and passes an adjoint on to them (`sweep`); `I` is the number of its
// first leaf. `Cursor` says what a leaf is: it has load<I>() and add<I>(adjoint).
//
// A rule of an element-wise op is a struct with a `name`, `forward(x...)` and `backward(dy, x..., y)`, both
// generic over a scalar and a register of scalars; backward returns the adjoint of x, or for two or
// three operands a std::array of them. `apply(rule, x...)` makes a formula of it.

namespace unroll::inline UNROLL_ISA {
namespace detail {

template <class E>
Var<typename E::scalar> record_formula(const E& e);

/// What all formulas share: they can be read, which computes them.
template <class E>
struct FormulaOf : FormulaBase {
  auto record() const { return record_formula(static_cast<const E&>(*this)); }
  Shape shape() const { return record().shape(); }
  auto value() const { return record().value(); }
  auto item() const { return record().item(); }
};

/// Where a leaf stands in a formula that is kept: which array it is, the inputs of the node say.
template <Real T>
struct Slot {
  using scalar = T;
  static constexpr int leaves = 1;
  static constexpr bool gated = false, reads_result = false;
  static Shape extents(const Shape* leaf) { return *leaf; }
  static std::string describe() { return "x"; }

  template <class V>
  struct Trace {
    V y;
  };
  template <int I, class V, class Cursor>
  [[gnu::always_inline]] V eval(const Cursor& c) const {
    return c.template load<I>();
  }
  template <int, class V, class Cursor>
  [[gnu::always_inline]] void trace_operands(const Cursor&, Trace<V>&) const {}
  template <int I, class V, class Cursor>
  [[gnu::always_inline]] void trace(const Cursor& c, Trace<V>& t) const {
    t.y = c.template load<I>();
  }
  template <int I, class V, class Cursor>
  [[gnu::always_inline]] void sweep(Cursor& c, const Trace<V>&, const V& dy) const {
    c.template add<I>(dy);
  }
};

/// An array, or a parameter that gets its place on the tape when the formula is computed.
template <Real T>
struct Leaf : FormulaOf<Leaf<T>> {
  using scalar = T;
  static constexpr int leaves = 1;
  static constexpr bool gated = false;
  Var<T> var;
  const Parameter<T>* parameter = nullptr;

  void collect(const Leaf** out) const { *out = this; }
  Slot<T> kept() const { return {}; }
};

/// A number in a formula.
template <Real T>
struct Number : FormulaBase {
  using scalar = T;
  static constexpr int leaves = 0;
  T number = T(0);

  static constexpr bool gated = false;
  void collect(const Leaf<T>**) const {}
  Number kept() const { return *this; }
  static Shape extents(const Shape*) { return {}; }
  static std::string describe() { return "c"; }

  template <class V>
  struct Trace {
    V y;
  };
  template <int I, class V, class Cursor>
  [[gnu::always_inline]] V eval(const Cursor&) const {
    return V(number);
  }
  template <int I, class V, class Cursor>
  [[gnu::always_inline]] void trace(const Cursor&, Trace<V>& t) const {
    t.y = V(number);
  }
  template <int I, class V, class Cursor>
  [[gnu::always_inline]] void sweep(Cursor&, const Trace<V>&, const V&) const {}
};

template <class F, class A>
struct Unary : FormulaOf<Unary<F, A>> {
  using scalar = typename A::scalar;
  static constexpr int leaves = A::leaves;
  static constexpr bool is_gate = requires(const F& rule) { rule.gate; };
  static constexpr bool gated = is_gate || A::gated;
  static constexpr bool reads_result = rule_reads_result<F>();
  [[no_unique_address]] F f;
  [[no_unique_address]] A a;
  Unary(F rule, A operand) : f(rule), a(operand) {}

  void collect(const Leaf<scalar>** out) const { a.collect(out); }
  auto kept() const { return Unary<F, decltype(a.kept())>(f, a.kept()); }
  static Shape extents(const Shape* leaf) { return A::extents(leaf); }
  static std::string describe() { return std::string(F::name) + "(" + A::describe() + ")"; }

  template <class V>
  struct Trace {
    V y;
    typename A::template Trace<V> a;
  };
  template <int I, class V, class Cursor>
  [[gnu::always_inline]] V eval(const Cursor& c) const {
    return f.forward(a.template eval<I, V>(c));
  }
  template <int I, class V, class Cursor>
  [[gnu::always_inline]] void trace_operands(const Cursor& c, Trace<V>& t) const {
    a.template trace<I, V>(c, t.a);
  }
  template <int I, class V, class Cursor>
  [[gnu::always_inline]] void trace(const Cursor& c, Trace<V>& t) const {
    trace_operands<I, V>(c, t);
    t.y = f.forward(t.a.y);
  }
  template <int I, class V, class Cursor>
  [[gnu::always_inline]] void sweep(Cursor& c, const Trace<V>& t, const V& dy) const {
    a.template sweep<I, V>(c, t.a, f.backward(dy, t.a.y, t.y));
  }
  /// Calls visit<I>(gate) for each named gate, whose first leaf has number I.
  template <int I, class Visit>
  void for_each_gate(const Visit& visit) const {
    if constexpr (is_gate) visit.template operator()<I>(*this);
    if constexpr (A::gated) a.template for_each_gate<I>(visit);
  }
};

template <class F, class A, class B>
struct Binary : FormulaOf<Binary<F, A, B>> {
  using scalar = typename A::scalar;
  static constexpr int leaves = A::leaves + B::leaves;
  static constexpr bool gated = A::gated || B::gated;
  static constexpr bool reads_result = rule_reads_result<F>();
  [[no_unique_address]] F f;
  [[no_unique_address]] A a;
  [[no_unique_address]] B b;
  Binary(F rule, A left, B right) : f(rule), a(left), b(right) {}

  void collect(const Leaf<scalar>** out) const {
    a.collect(out);
    b.collect(out + A::leaves);
  }
  auto kept() const { return Binary<F, decltype(a.kept()), decltype(b.kept())>(f, a.kept(), b.kept()); }
  static Shape extents(const Shape* leaf) { return broadcast(A::extents(leaf), B::extents(leaf + A::leaves), F::name); }
  static std::string describe() { return std::string(F::name) + "(" + A::describe() + ", " + B::describe() + ")"; }

  template <class V>
  struct Trace {
    V y;
    typename A::template Trace<V> a;
    typename B::template Trace<V> b;
  };
  template <int I, class V, class Cursor>
  [[gnu::always_inline]] V eval(const Cursor& c) const {
    return f.forward(a.template eval<I, V>(c), b.template eval<I + A::leaves, V>(c));
  }
  template <int I, class V, class Cursor>
  [[gnu::always_inline]] void trace_operands(const Cursor& c, Trace<V>& t) const {
    a.template trace<I, V>(c, t.a);
    b.template trace<I + A::leaves, V>(c, t.b);
  }
  template <int I, class V, class Cursor>
  [[gnu::always_inline]] void trace(const Cursor& c, Trace<V>& t) const {
    trace_operands<I, V>(c, t);
    t.y = f.forward(t.a.y, t.b.y);
  }
  template <int I, class V, class Cursor>
  [[gnu::always_inline]] void sweep(Cursor& c, const Trace<V>& t, const V& dy) const {
    const std::array<V, 2> d = f.backward(dy, t.a.y, t.b.y, t.y);
    a.template sweep<I, V>(c, t.a, d[0]);
    b.template sweep<I + A::leaves, V>(c, t.b, d[1]);
  }
  template <int I, class Visit>
  void for_each_gate(const Visit& visit) const {
    if constexpr (A::gated) a.template for_each_gate<I>(visit);
    if constexpr (B::gated) b.template for_each_gate<I + A::leaves>(visit);
  }
};

/// Adds to the leaves only where `mask` holds: elsewhere a derivative may be NaN, and so is zero times it.
template <class Cursor, class Mask>
struct Masked {
  Cursor& cursor;
  const Mask& mask;

  template <int I, class V>
  [[gnu::always_inline]] void add(const V& d) {
    cursor.template add<I>(math::select(mask, d, V(0)));
  }
};

template <class F, class A, class B, class C>
struct Ternary : FormulaOf<Ternary<F, A, B, C>> {
  using scalar = typename A::scalar;
  static constexpr int leaves = A::leaves + B::leaves + C::leaves;
  static constexpr bool gated = A::gated || B::gated || C::gated;
  static constexpr bool reads_result = rule_reads_result<F>();
  [[no_unique_address]] F f;
  [[no_unique_address]] A a;
  [[no_unique_address]] B b;
  [[no_unique_address]] C c;
  Ternary(F rule, A x, B y, C z) : f(rule), a(x), b(y), c(z) {}

  void collect(const Leaf<scalar>** out) const {
    a.collect(out);
    b.collect(out + A::leaves);
    c.collect(out + A::leaves + B::leaves);
  }
  auto kept() const {
    return Ternary<F, decltype(a.kept()), decltype(b.kept()), decltype(c.kept())>(f, a.kept(), b.kept(), c.kept());
  }
  static Shape extents(const Shape* leaf) {
    return broadcast(broadcast(A::extents(leaf), B::extents(leaf + A::leaves), F::name),
                     C::extents(leaf + A::leaves + B::leaves), F::name);
  }
  static std::string describe() {
    return std::string(F::name) + "(" + A::describe() + ", " + B::describe() + ", " + C::describe() + ")";
  }

  template <class V>
  struct Trace {
    V y;
    typename A::template Trace<V> a;
    typename B::template Trace<V> b;
    typename C::template Trace<V> c;
  };
  template <int I, class V, class Cursor>
  [[gnu::always_inline]] V eval(const Cursor& cursor) const {
    return f.forward(a.template eval<I, V>(cursor), b.template eval<I + A::leaves, V>(cursor),
                     c.template eval<I + A::leaves + B::leaves, V>(cursor));
  }
  template <int I, class V, class Cursor>
  [[gnu::always_inline]] void trace_operands(const Cursor& cursor, Trace<V>& t) const {
    a.template trace<I, V>(cursor, t.a);
    b.template trace<I + A::leaves, V>(cursor, t.b);
    c.template trace<I + A::leaves + B::leaves, V>(cursor, t.c);
  }
  template <int I, class V, class Cursor>
  [[gnu::always_inline]] void trace(const Cursor& cursor, Trace<V>& t) const {
    trace_operands<I, V>(cursor, t);
    t.y = f.forward(t.a.y, t.b.y, t.c.y);
  }
  template <int I, class V, class Cursor>
  [[gnu::always_inline]] void sweep(Cursor& cursor, const Trace<V>& t, const V& dy) const {
    const std::array<V, 3> d = f.backward(dy, t.a.y, t.b.y, t.c.y, t.y);
    a.template sweep<I, V>(cursor, t.a, d[0]);
    if constexpr (requires { f.selects(t.a.y); }) {
      const auto yes = f.selects(t.a.y);
      const auto no = !yes;
      Masked<Cursor, decltype(yes)> for_b{cursor, yes};
      Masked<Cursor, decltype(no)> for_c{cursor, no};
      b.template sweep<I + A::leaves, V>(for_b, t.b, d[1]);
      c.template sweep<I + A::leaves + B::leaves, V>(for_c, t.c, d[2]);
    } else {
      b.template sweep<I + A::leaves, V>(cursor, t.b, d[1]);
      c.template sweep<I + A::leaves + B::leaves, V>(cursor, t.c, d[2]);
    }
  }
  template <int I, class Visit>
  void for_each_gate(const Visit& visit) const {
    if constexpr (A::gated) a.template for_each_gate<I>(visit);
    if constexpr (B::gated) b.template for_each_gate<I + A::leaves>(visit);
    if constexpr (C::gated) c.template for_each_gate<I + A::leaves + B::leaves>(visit);
  }
};

}  // namespace detail
}  // namespace unroll::inline UNROLL_ISA
