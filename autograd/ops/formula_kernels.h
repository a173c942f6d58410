#pragma once

#include <unroll/autograd/ops/expression.h>

// How a formula is computed for all elements, and its adjoint swept down: row by row, register by register.

namespace unroll::inline UNROLL_ISA {
namespace detail {

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
    walks[i].grad = tape.wanted(leaves[i]) ? tape.gradient_data(leaves[i]) : nullptr;
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

extern template Rows lay_out(Tape<float>&, const Shape&, std::span<const std::uint32_t>, std::span<Walk<float>>,
                             LeafGradients);
extern template Rows lay_out(Tape<double>&, const Shape&, std::span<const std::uint32_t>, std::span<Walk<double>>,
                             LeafGradients);

}  // namespace detail
}  // namespace unroll::inline UNROLL_ISA
