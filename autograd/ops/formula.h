#pragma once

#include <string>

#include <unroll/autograd/ops/record.h>
#include <unroll/autograd/tensor/simd.h>

// Element-wise operators build an expression of handles. It is computed when it becomes a Var, as one node:
// the forward kernel evaluates the tree register by register; the backward kernel evaluates it again and sweeps
// the adjoint down the same tree, adding into the gradient of each leaf.
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
  A a;
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
  A a;
  B b;
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
  A a;
  B b;
  C c;
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

// Kernels

/// How one leaf is walked while the rows of the result are.
template <Real T>
struct Walk {
  const T* value;
  T* grad;                                   // null: nobody wants it
  std::array<Index, Shape::max_rank> steps;  // elements to the next index of each leading axis of the result
  bool is_vector;                            // adjacent columns; otherwise one element serves the row
  bool fresh = false;                        // the gradient is to be overwritten instead of added to
  Index ahead = 0;                           // elements to those that are prefetched meanwhile
};

/// The rows of the result. When all leaves lie as it does they are one long row, and each leaf's steps[0] is that of a
/// row of the shape.
struct Rows {
  Index rows = 1, cols = 1;
  int axes = 0;
  std::array<Index, Shape::max_rank> extents{};
  bool vectors = true;  // no leaf serves a row with one element

  /// How many elements ahead to prefetch from an array whose rows are `step` apart: those of the next row, or some
  /// lines further in a long one; 0 for a small result, whose arrays are in the cache. A processor sees by itself where
  /// an array goes on, but not where the rows of a gate do.
  Index ahead(Index step) const {
    constexpr Index small = 2048, long_row = 1024, some = 256;
    return rows * cols < small ? 0 : cols > long_row ? some : step;
  }
};

/// Which gradients a kernel needs.
enum class LeafGradients : std::uint8_t { none, added, fresh };

/// Classifies the leaves of a formula against the shape of its result, once per kernel call. With LeafGradients::fresh,
/// those that are reached for the first time, in one piece, are not zeroed but marked as fresh: the kernel must visit
/// every element once, and the leaves in their order.
template <Real T>
Rows lay_out(Tape<T>& tape, const Shape& shape, std::span<const std::uint32_t> leaves, std::span<Walk<T>> walks,
             LeafGradients gradients);

/// Moves all leaves to the next row, where not all rows lie evenly.
template <Real T>
[[gnu::noinline]] void next_uneven_row(const Rows& rows, std::array<Index, Shape::max_rank>& at,
                                       std::span<Walk<T>> walks) {
  for (int axis = rows.axes - 1; axis >= 0; --axis) {
    const auto d = static_cast<std::size_t>(axis);
    const bool wraps = ++at[d] == rows.extents[d];
    for (Walk<T>& w : walks) {
      const Index move = wraps ? -w.steps[d] * (rows.extents[d] - 1) : w.steps[d];
      w.value += move;
      if (w.grad != nullptr) w.grad += move;
    }
    if (!wraps) return;
    at[d] = 0;
  }
}

/// f(r) with the leaves at row r, for all rows.
template <Real T, std::size_t N, class F>
[[gnu::always_inline]] inline void for_each_row(const Rows& rows, std::array<Walk<T>, N>& walks, F f) {
  std::array<Index, Shape::max_rank> at{};
  for (Index r = 0; r < rows.rows; ++r) {
    f(r);
    if (rows.axes > 1) {
      next_uneven_row<T>(rows, at, walks);
    } else {
      for (Walk<T>& w : walks) {
        w.value += w.steps[0];
        if (w.grad != nullptr) w.grad += w.steps[0];
      }
    }
  }
}

/// Prefetches the K registers from `x` on, to be read or to be written.
template <std::size_t K, bool Write, Real T>
[[gnu::always_inline]] inline void fetch(const T* x) {
  constexpr Index cache_line = 64 / sizeof(T), count = static_cast<Index>(K) * lanes<T>;
#pragma GCC unroll 4
  for (Index i = 0; i < count; i += cache_line) __builtin_prefetch(x + i, Write);
}

/// One register of every leaf, at column `j`.
template <Real T, int N, bool Vectors>
struct Cursor {
  std::span<Walk<T>> walks;
  Batch<T>* sums = nullptr;  // of leaves that are no vectors
  Index j = 0;

  template <int I>
  [[gnu::always_inline]] Batch<T> load() const {
    const Walk<T>& w = walks[I];
    if constexpr (!Vectors)
      if (!w.is_vector) return Batch<T>(*w.value);
    return Batch<T>::load_unaligned(w.value + j);
  }
  /// Prefetches from the leaves, K registers of each.
  template <std::size_t K>
  [[gnu::always_inline]] void fetch_values() const {
#pragma GCC unroll 16
    for (std::size_t i = 0; i < N; ++i)
      if (Vectors || walks[i].is_vector) fetch<K, false>(walks[i].value + j + walks[i].ahead);
  }
  template <std::size_t K>
  [[gnu::always_inline]] void fetch_gradients() const {
#pragma GCC unroll 16
    for (std::size_t i = 0; i < N; ++i)
      if (walks[i].grad != nullptr && (Vectors || walks[i].is_vector))
        fetch<K, true>(walks[i].grad + j + walks[i].ahead);
  }
  /// The cursor `registers` further.
  [[gnu::always_inline]] Cursor moved(std::size_t registers) const {
    return {walks, sums, j + static_cast<Index>(registers) * lanes<T>};
  }
  template <int I>
  [[gnu::always_inline]] void add(const Batch<T>& d) {
    const Walk<T>& w = walks[I];
    if (w.grad == nullptr) return;
    if constexpr (!Vectors)
      if (!w.is_vector) {
        sums[I] += d;
        return;
      }
    // What is fresh counts as zero: -0 becomes 0, as it does elsewhere.
    const Batch<T> before = w.fresh ? Batch<T>(T(0)) : Batch<T>::load_unaligned(w.grad + j);
    (before + d).store_unaligned(w.grad + j);
  }
};

/// The last elements of a row, as registers that are padded with copies of the first of them.
template <Real T, int N>
struct Tail {
  static constexpr auto width = static_cast<std::size_t>(lanes<T>);
  std::array<std::array<T, width>, N> values, grads{};
  std::array<Walk<T>, N> walks;

  Tail(std::span<const Walk<T>> row, Index j, Index count) {
    for (std::size_t i = 0; i < N; ++i) {
      const T* from = row[i].value + (row[i].is_vector ? j : 0);
      values[i].fill(*from);
      if (row[i].is_vector) std::copy_n(from, count, values[i].begin());
      walks[i] = {values[i].data(), row[i].grad == nullptr ? nullptr : grads[i].data(), {}, true};
    }
  }
  void add_to(std::span<const Walk<T>> row, Index j, Index count) const {
    for (std::size_t i = 0; i < N; ++i)
      if (row[i].grad != nullptr)
        for (Index k = 0; k < count; ++k) {
          T& to = row[i].grad[row[i].is_vector ? j + k : 0];
          to = row[i].fresh ? grads[i][static_cast<std::size_t>(k)] : to + grads[i][static_cast<std::size_t>(k)];
        }
  }
};

template <class E, Real T, int N>
[[gnu::noinline]] void tail_forward(const E& e, std::span<const Walk<T>> row, Index j, Index count, T* y) {
  Tail<T, N> tail(row, j, count);
  const Cursor<T, N, true> cursor{tail.walks};
  std::array<T, Tail<T, N>::width> out;
  e.template eval<0, Batch<T>>(cursor).store_unaligned(out.data());
  std::copy_n(out.begin(), count, y + j);
}

/// How many registers go through a formula side by side: the chain of one transcendental function is longer than a core
/// looks ahead, and two of them overlap. One of doubles, and where a leaf serves a row with one element: it compiles
/// sooner.
template <Real T, bool Vectors>
inline constexpr std::size_t side_by_side = Vectors && std::same_as<T, float> ? 2 : 1;

/// A row of the result or of its gradient.
template <class T>
struct Line {
  T* data;
  Index ahead;  // as in Walk; 0 in the row of the result (forward) or of its gradient: nothing is prefetched
};

/// Row r of a result that is laid out as `rows`.
template <class T>
Line<T> line(const Rows& rows, const View<T>& view, Index r) {
  return {view.data + r * view.stride, rows.ahead(view.stride)};
}

template <std::size_t K, bool Vectors, class E, Real T, int N>
[[gnu::always_inline]] inline void registers_forward(const E& e, Cursor<T, N, Vectors>& cursor, Line<T> y, Index cols) {
  constexpr Index step = static_cast<Index>(K) * lanes<T>;
  for (; cursor.j + step <= cols; cursor.j += step) {
    if (y.ahead != 0) {
      cursor.template fetch_values<K>();
      fetch<K, true>(y.data + cursor.j + y.ahead);
    }
    std::array<Batch<T>, K> out;
#pragma GCC unroll 2
    for (std::size_t k = 0; k < K; ++k) out[k] = e.template eval<0, Batch<T>>(cursor.moved(k));
#pragma GCC unroll 2
    for (std::size_t k = 0; k < K; ++k) out[k].store_unaligned(y.data + cursor.j + static_cast<Index>(k) * lanes<T>);
  }
}

// Rules are inlined into these loops whatever their size: a call would spill every register.
template <bool Vectors, class E, Real T, int N>
[[gnu::flatten]] void row_forward(const E& e, std::span<Walk<T>> walks, Line<T> y, Index cols) {
  Cursor<T, N, Vectors> cursor{walks};
  if constexpr (side_by_side<T, Vectors> > 1) registers_forward<side_by_side<T, Vectors>>(e, cursor, y, cols);
  registers_forward<1>(e, cursor, y, cols);
  if (cursor.j < cols) tail_forward<E, T, N>(e, walks, cursor.j, cols - cursor.j, y.data);
}

// Whatever is the same for all rows, such as the constants of an approximation, is loaded once.
template <bool Vectors, class E, Real T, int N>
[[gnu::flatten]] void rows_forward(const E& e, const Rows& rows, std::array<Walk<T>, N>& walks, View<T> y) {
  for_each_row(rows, walks, [&](Index r) { row_forward<Vectors, E, T, N>(e, walks, line(rows, y, r), rows.cols); });
}

/// K registers of the adjoint, side by side, go down the tree. `y` is what forward computed; anything if the root does
/// not read its result.
template <class E, class Cursor, class V, std::size_t K>
[[gnu::always_inline]] inline void backward_at(const E& e, const Cursor& cursor, const std::array<V, K>& y,
                                               const std::array<V, K>& dy) {
  std::array<typename E::template Trace<V>, K> traces;
#pragma GCC unroll 2
  for (std::size_t k = 0; k < K; ++k) {
    e.template trace_operands<0, V>(cursor.moved(k), traces[k]);
    traces[k].y = y[k];
  }
#pragma GCC unroll 2
  for (std::size_t k = 0; k < K; ++k) {
    Cursor at = cursor.moved(k);
    e.template sweep<0, V>(at, traces[k], dy[k]);
  }
}

template <class E, Real T, int N>
[[gnu::noinline]] void tail_backward(const E& e, std::span<const Walk<T>> row, Index j, Index count, const T* y,
                                     const T* dy) {
  Tail<T, N> tail(row, j, count);
  Cursor<T, N, true> cursor{tail.walks};
  std::array<T, Tail<T, N>::width> result{}, d{};
  std::copy_n(y + j, count, result.begin());
  std::copy_n(dy + j, count, d.begin());
  using V = Batch<T>;
  backward_at(e, cursor, std::array{V::load_unaligned(result.data())}, std::array{V::load_unaligned(d.data())});
  tail.add_to(row, j, count);
}

/// K registers from `x` on.
template <std::size_t K, Real T>
[[gnu::always_inline]] inline std::array<Batch<T>, K> adjacent(const T* x) {
  std::array<Batch<T>, K> registers;
  for (std::size_t k = 0; k < K; ++k) registers[k] = Batch<T>::load_unaligned(x + static_cast<Index>(k) * lanes<T>);
  return registers;
}

template <std::size_t K, bool Vectors, class E, Real T, int N>
[[gnu::always_inline]] inline void registers_backward(const E& e, Cursor<T, N, Vectors>& cursor, Line<const T> y,
                                                      Line<const T> dy, Index cols) {
  constexpr Index step = static_cast<Index>(K) * lanes<T>;
  for (; cursor.j + step <= cols; cursor.j += step) {
    if (dy.ahead != 0) {
      cursor.template fetch_values<K>();
      cursor.template fetch_gradients<K>();
      if constexpr (E::reads_result) fetch<K, false>(y.data + cursor.j + y.ahead);
      fetch<K, false>(dy.data + cursor.j + dy.ahead);
    }
    backward_at(e, cursor, adjacent<K>(y.data + cursor.j), adjacent<K>(dy.data + cursor.j));
  }
}

template <bool Vectors, class E, Real T, int N>
[[gnu::flatten]] void row_backward(const E& e, std::span<Walk<T>> walks, Line<const T> y, Line<const T> dy,
                                   Index cols) {
  std::array<Batch<T>, N> sums;
  if constexpr (!Vectors) sums.fill(Batch<T>(T(0)));
  Cursor<T, N, Vectors> cursor{walks, sums.data()};
  if constexpr (side_by_side<T, Vectors> > 1) registers_backward<side_by_side<T, Vectors>>(e, cursor, y, dy, cols);
  registers_backward<1>(e, cursor, y, dy, cols);
  if constexpr (!Vectors)
    for (std::size_t i = 0; i < N; ++i)
      if (!walks[i].is_vector && walks[i].grad != nullptr) *walks[i].grad += simd::total(sums[i]);
  if (cursor.j < cols) tail_backward<E, T, N>(e, walks, cursor.j, cols - cursor.j, y.data, dy.data);
}

template <bool Vectors, class E, Real T, int N>
[[gnu::flatten]] void rows_backward(const E& e, const Rows& rows, std::array<Walk<T>, N>& walks, View<const T> y,
                                    View<const T> dy) {
  for_each_row(rows, walks, [&](Index r) {
    row_backward<Vectors, E, T, N>(e, walks, line(rows, y, r), line(rows, dy, r), rows.cols);
  });
}

/// A result of one element, from leaves that then have one element each.
template <class E, Real T, int N>
T single_forward(const E& e, const Tape<T>& tape, std::span<const std::uint32_t> leaves) {
  std::array<Walk<T>, N> walks;
  for (std::size_t i = 0; i < N; ++i) {
    walks[i].value = tape.node(leaves[i]).value;
    walks[i].is_vector = false;
  }
  const Cursor<T, N, false> cursor{walks};
  return e.template eval<0, Batch<T>>(cursor).get(0);
}

template <class E, Real T, int N>
void single_backward(const E& e, Tape<T>& tape, std::span<const std::uint32_t> leaves, T y, T dy) {
  std::array<Walk<T>, N> walks;
  for (std::size_t i = 0; i < N; ++i) {
    walks[i].value = tape.node(leaves[i]).value;
    walks[i].grad = tape.wanted(leaves[i]) ? tape.gradient_of(leaves[i]).data : nullptr;
    walks[i].is_vector = false;
  }
  std::array<Batch<T>, N> sums;
  sums.fill(Batch<T>(T(0)));
  Cursor<T, N, false> cursor{walks, sums.data()};
  backward_at(e, cursor, std::array{Batch<T>(y)}, std::array{Batch<T>(dy)});
  for (std::size_t i = 0; i < N; ++i)
    if (walks[i].grad != nullptr) *walks[i].grad += sums[i].get(0);
}

/// One element of every leaf, in column `j`.
template <Real T>
struct Element {
  std::span<const Walk<T>> walks;
  Index j = 0;

  template <int I>
  T load() const {
    return walks[I].value[walks[I].is_vector ? j : 0];
  }
};

/// A computed formula, as the tape keeps it; its leaves are the inputs of the node, in their order.
template <class E>
struct FormulaRule {
  using T = typename E::scalar;
  static constexpr int leaves = E::leaves;
  using Leaves = std::span<const std::uint32_t>;
  E e;

  void forward(Var<T> y, Leaves inputs) const {
    const View<T> out = result(y);
    if (out.size() == 0) return;
    if (out.size() == 1) {
      *out.data = single_forward<E, T, leaves>(e, y.tape(), inputs);
      return;
    }
    std::array<Walk<T>, leaves> walks;
    const Rows rows = lay_out<T>(y.tape(), y.shape(), inputs, walks, LeafGradients::none);
    const FlushDenormals no_denormals;
    if (rows.vectors)
      rows_forward<true, E, T, leaves>(e, rows, walks, out);
    else
      rows_forward<false, E, T, leaves>(e, rows, walks, out);
  }
  /// Computes the named gates again, for a watcher. Element by element: this is for looking, and costs little to
  /// compile.
  [[gnu::noinline]] void show_gates(Var<T> y, Leaves inputs, Watcher<T>& watcher) const {
    e.template for_each_gate<0>([&]<int I, class G>(const G& gate) {
      std::array<Walk<T>, leaves> walks;
      const Rows rows = lay_out<T>(y.tape(), y.shape(), inputs, walks, LeafGradients::none);
      std::vector<T> values;
      for_each_row(rows, walks, [&](Index) {
        for (Element<T> element{walks}; element.j < rows.cols; ++element.j)
          values.push_back(gate.template eval<I, T>(element));
      });
      watcher.gate(gate.f.gate, values);
    });
  }
  static void backward(const void* rule, Var<T> y) {
    const E& e = static_cast<const FormulaRule*>(rule)->e;
    Tape<T>& tape = y.tape();
    const View<const T> value = tape.values(y.index()), dy = gradient(y);
    const Leaves inputs(tape.node(y.index()).inputs, leaves);
    if (dy.size() == 1) return single_backward<E, T, leaves>(e, tape, inputs, *value.data, *dy.data);
    std::array<Walk<T>, leaves> walks;
    const Rows rows = lay_out<T>(tape, tape.node(y.index()).shape, inputs, walks, LeafGradients::fresh);
    if (rows.vectors)
      rows_backward<true, E, T, leaves>(e, rows, walks, value, dy);
    else
      rows_backward<false, E, T, leaves>(e, rows, walks, value, dy);
  }
  static constexpr Op<T> op{"formula", &backward, &E::describe, false, E::reads_result};
};

/// The leaves of a formula as values on `tape`, or on that of the first that has one.
template <class E, class T = typename E::scalar>
std::array<Var<T>, E::leaves> vars_of(const E& formula, Tape<T>* tape = nullptr) {
  static_assert(E::leaves > 0, "a formula of numbers alone has no tape");
  std::array<const Leaf<T>*, E::leaves> leaf;
  formula.collect(leaf.data());
  for (const Leaf<T>* l : leaf)
    if (tape == nullptr && l->parameter == nullptr) tape = &l->var.tape();
  require<TapeError>(tape != nullptr, "formula: parameters alone have no tape; enter one with tape.use(parameter)");
  std::array<Var<T>, E::leaves> vars;
  for (std::size_t i = 0; i < vars.size(); ++i)
    vars[i] = leaf[i]->parameter == nullptr ? leaf[i]->var : tape->use(*leaf[i]->parameter);
  return vars;
}

/// The shape of a formula whose leaves have these. Throws ShapeError with the place in the model.
template <class E, Real T>
Shape extents_of(const Tape<T>& tape, std::span<const Var<T>> vars, std::span<const Shape> shapes) {
  try {
    return E::extents(shapes.data());
  } catch (const ShapeError& error) { throw ShapeError(tape.located(error.what(), vars)); }
}

/// The same, of leaves that differ in theirs.
template <class E, Real T>
[[gnu::noinline]] Shape broadcast_leaves(const Tape<T>& tape, std::span<const Var<T>> vars) {
  std::array<Shape, E::leaves> shapes;
  for (std::size_t i = 0; i < shapes.size(); ++i) shapes[i] = tape.node(vars[i].index()).shape;
  return extents_of<E, T>(tape, vars, shapes);
}

template <class E>
Var<typename E::scalar> record_formula(const E& formula) {
  using T = typename E::scalar;
  const auto vars = vars_of(formula);
  Tape<T>& tape = vars[0].tape();
  bool alike = true;
  for (const Var<T>& v : vars) alike = tape.checked(v, "formula").shape == tape.node(vars[0].index()).shape && alike;
  if constexpr (std::same_as<E, Leaf<T>>) {
    return vars[0];
  } else {
    using Rule = FormulaRule<decltype(formula.kept())>;
    const Rule rule{formula.kept()};
    const Var<T> y = tape.append(
        Rule::op, alike ? tape.node(vars[0].index()).shape : broadcast_leaves<decltype(rule.e), T>(tape, vars), vars);
    std::array<std::uint32_t, E::leaves> inputs;
    for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i] = vars[i].index();
    rule.forward(y, inputs);
    if constexpr (E::gated)
      if (tape.watcher() != nullptr) [[unlikely]]
        rule.show_gates(y, inputs, *tape.watcher());
    tape.keep_rule(y, rule);
    return y;
  }
}

template <Real T>
Leaf<T> operand(const Var<T>& v) {
  return {{}, v, nullptr};
}
template <Real T>
Leaf<T> operand(const Parameter<T>& p) {
  return {{}, {}, &p};
}
template <Formula E>
E operand(const E& e) {
  return e;
}

template <class X>
inline constexpr bool is_handle = false;
template <class T>
inline constexpr bool is_handle<Var<T>> = true;
template <class T>
inline constexpr bool is_handle<Parameter<T>> = true;

extern template Rows lay_out(Tape<float>&, const Shape&, std::span<const std::uint32_t>, std::span<Walk<float>>,
                             LeafGradients);
extern template Rows lay_out(Tape<double>&, const Shape&, std::span<const std::uint32_t>, std::span<Walk<double>>,
                             LeafGradients);

}  // namespace detail

/// What an op takes: a value on a tape, a parameter, or a formula of them.
template <class X>
concept Operand = Formula<X> || detail::is_handle<X>;

template <class X>
concept Numeric = std::is_arithmetic_v<X>;

/// A formula of a rule and its operands.
template <class F, Operand A>
auto apply(F f, const A& a) {
  using X = decltype(detail::operand(a));
  return detail::Unary<F, X>(f, detail::operand(a));
}
template <class F, Operand A, Operand B>
auto apply(F f, const A& a, const B& b) {
  static_assert(std::same_as<typename A::scalar, typename B::scalar>, "float and double do not mix");
  return detail::Binary<F, decltype(detail::operand(a)), decltype(detail::operand(b))>(f, detail::operand(a),
                                                                                       detail::operand(b));
}
template <class F, Operand A, Numeric N>
auto apply(F f, const A& a, N n) {
  using T = typename A::scalar;
  return apply(f, a, detail::Number<T>{{}, static_cast<T>(n)});
}
template <class F, Numeric N, Operand B>
auto apply(F f, N n, const B& b) {
  using T = typename B::scalar;
  return apply(f, detail::Number<T>{{}, static_cast<T>(n)}, b);
}
template <class F, Operand A, Operand B, Operand C>
auto apply(F f, const A& a, const B& b, const C& c) {
  return detail::Ternary<F, decltype(detail::operand(a)), decltype(detail::operand(b)), decltype(detail::operand(c))>(
      f, detail::operand(a), detail::operand(b), detail::operand(c));
}

/// The value of an operand that knows its tape; a formula is computed.
template <Real T>
Var<T> as_var(const Var<T>& v) {
  return v;
}
template <Formula E>
auto as_var(const E& e) {
  return e.record();
}

/// The values of several operands on the tape of the first that has one.
template <Operand... X>
auto on_one_tape(const X&... x) {
  using T = std::common_type_t<typename X::scalar...>;
  std::array<Var<T>, sizeof...(X)> vars;
  Tape<T>* tape = nullptr;
  std::size_t i = 0;
  const auto enter = [&]<class A>(const A& a) {
    if constexpr (!std::same_as<A, Parameter<T>>) {
      vars[i] = as_var(a);
      if (tape == nullptr) tape = &vars[i].tape();
    }
    ++i;
  };
  (enter(x), ...);
  require<TapeError>(tape != nullptr, "parameters alone have no tape; enter one with tape.use(parameter)");
  i = 0;
  const auto enter_parameter = [&]<class A>(const A& a) {
    if constexpr (std::same_as<A, Parameter<T>>) vars[i] = tape->use(a);
    ++i;
  };
  (enter_parameter(x), ...);
  return vars;
}

}  // namespace unroll::inline UNROLL_ISA
