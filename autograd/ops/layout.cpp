#include <unroll/autograd/ops/layout.h>
#include <unroll/autograd/ops/select_rows.h>
#include <unroll/autograd/tensor/transpose.h>

namespace unroll::inline UNROLL_ISA::detail {
namespace {

/// y[i, j, ...] = x[offset + i s0 + j s1 + ...]: transposition, slicing, stretching and reversal are all this.
template <Real T>
struct Rearrange {
  static constexpr const char* name = "rearrange";
  static constexpr bool reads_result = false;
  Var<T> x;
  Index offset;
  std::array<Index, Shape::max_rank> steps;

  template <class F>
  void for_each_row(const Shape& shape, F f) const {
    if (shape.size() == 0) return;
    const int axes = std::max(0, shape.rank() - 1);
    std::array<Index, Shape::max_rank> at{};
    Index from = offset;
    for (Index r = 0; r < shape.rows(); ++r) {
      f(r, from);
      for (int d = axes - 1; d >= 0; --d) {
        const auto i = static_cast<std::size_t>(d);
        from += steps[i];
        if (++at[i] < shape[d]) break;
        from -= steps[i] * shape[d];
        at[i] = 0;
      }
    }
  }
  Index column_step(const Shape& shape) const {
    return shape.rank() == 0 ? 0 : steps[static_cast<std::size_t>(shape.rank() - 1)];
  }
  /// The axis of y along which neighbours of x lie side by side, where that is not the last one; else -1.
  int axis_across(const Shape& shape) const {
    if (shape.rank() < 2 || column_step(shape) <= 1) return -1;
    for (int d = 0; d < shape.rank() - 1; ++d)
      if (steps[static_cast<std::size_t>(d)] == 1 && shape[d] > 1) return d;
    return -1;
  }
  /// f(first row of y, rows of y to the next, first element of x) for each matrix along that axis and the last one.
  template <class F>
  void for_each_matrix(const Shape& shape, int axis, F f) const {
    Index inner = 1;
    for (int d = axis + 1; d < shape.rank() - 1; ++d) inner *= shape[d];
    for_each_row(shape.with(axis, 1),
                 [&](Index r, Index start) { f(r / inner * inner * shape[axis] + r % inner, inner, start); });
  }
  void forward(Var<T> y) const {
    const View<T> out = result(y);
    const T* from = values(x).data;
    const Shape shape = y.shape();
    const Index step = column_step(shape);
    if (const int axis = axis_across(shape); axis >= 0)
      return for_each_matrix(shape, axis, [&](Index row, Index apart, Index start) {
        unroll::transpose<T>({from + start, out.cols, shape[axis], step}, out.row(row), apart * out.stride);
      });
    for_each_row(shape, [&](Index r, Index start) {
      T* to = out.row(r);
      for (Index c = 0; c < out.cols; ++c) to[c] = from[start + c * step];
    });
  }
  void backward(Var<T> y) const {
    const View<const T> dy = gradient(y);
    T* dx = gradient(x).data;
    const Shape shape = y.shape();
    const Index step = column_step(shape);
    if (const int axis = axis_across(shape); axis >= 0)
      return for_each_matrix(shape, axis, [&](Index row, Index apart, Index start) {
        unroll::transpose<T, true>({dy.row(row), shape[axis], dy.cols, apart * dy.stride}, dx + start, step);
      });
    for_each_row(shape, [&](Index r, Index start) {
      const T* d = dy.row(r);
      for (Index c = 0; c < dy.cols; ++c) dx[start + c * step] += d[c];
    });
  }
};

/// Elements between neighbours along each axis of a value in memory.
template <Real T>
std::array<Index, Shape::max_rank> steps_of(const Node<T>& n) {
  std::array<Index, Shape::max_rank> steps{};
  Index step = 1;
  for (int d = n.shape.rank() - 1; d >= 0; --d) {
    steps[static_cast<std::size_t>(d)] = step;
    step = d == n.shape.rank() - 1 ? n.stride : step * n.shape[d];
  }
  return steps;
}

template <Real T>
struct Concat {
  static constexpr const char* name = "concat";
  static constexpr bool reads_result = false;
  std::span<const Var<T>> parts;
  Index outer;  // product of the extents before the axis

  /// f(part, start), where row r of the part starts at element start(r) of the result.
  template <class F>
  void for_each_part(const Shape& shape, F f) const {
    if (shape.size() == 0) return;
    const Index total = shape.size() / outer;
    Index offset = 0;
    for (const Var<T>& part : parts) {
      const View<const T> v = values(part);
      const Index rows = v.rows / outer;
      f(part, [=](Index r) { return (r / rows) * total + offset + (r % rows) * v.cols; });
      offset += rows * v.cols;
    }
  }
  void forward(Var<T> y) const {
    T* const out = result(y).data;
    for_each_part(y.shape(), [&](const Var<T>& part, auto start) {
      const View<const T> v = values(part);
      for (Index r = 0; r < v.rows; ++r) std::copy_n(v.row(r), v.cols, out + start(r));
    });
  }
  void backward(Var<T> y) const {
    const T* const dy = gradient(y).data;
    for_each_part(y.shape(), [&](const Var<T>& part, auto start) {
      if (!wanted(part)) return;
      const auto [d, fresh] = y.tape().claim_gradient(part.index());
      for (Index r = 0; r < d.rows; ++r)
        if (fresh)
          std::copy_n(dy + start(r), d.cols, d.row(r));
        else
          simd::add_scaled(T(1), dy + start(r), d.row(r), d.cols);
    });
  }
};

template <Real T>
struct Pick {
  static constexpr const char* name = "pick";
  Var<T> x;
  std::span<const std::int32_t> columns;

  void forward(Var<T> y) const {
    const View<const T> from = values(x);
    T* const out = result(y).data;
    for (Index r = 0; r < from.rows; ++r) out[r] = from.row(r)[columns[static_cast<std::size_t>(r)]];
  }
  void backward(Var<T> y) const {
    const T* const dy = gradient(y).data;
    const View<T> dx = gradient(x);
    for (Index r = 0; r < dx.rows; ++r) dx.row(r)[columns[static_cast<std::size_t>(r)]] += dy[r];
  }
};

}  // namespace

template <Real T>
Var<T> contiguous(Var<T> x) {
  const Node<T>& n = x.tape().checked(x, "contiguous");
  if (n.values().contiguous()) return x;
  const Shape shape = n.shape;  // recording moves the nodes
  return record(shape, Rearrange<T>{x, 0, steps_of(n)}, x);
}

template <Real T>
Var<T> reshape(Var<T> x, const Shape& shape) {
  Tape<T>& tape = x.tape();
  const Shape from = tape.checked(x, "reshape").shape;
  tape.template require<ShapeError>(from.size() == shape.size(), "reshape: {} does not have as many elements as {}",
                                    from, shape);
  const Index stride = tape.node(x.index()).stride;
  if (shape.cols() == from.cols()) return tape.alias("reshape", x, shape, 0, stride);
  return tape.alias("reshape", contiguous(x), shape, 0, shape.cols());
}

template <Real T>
Var<T> transpose(Var<T> x, int axis_a, int axis_b) {
  Tape<T>& tape = x.tape();
  const Node<T>& n = tape.checked(x, "transpose");
  const Shape from = n.shape;
  tape.template require<ShapeError>(from.rank() >= 2, "transpose: {} has no two axes", from);
  const int a = axis_of(tape, from, axis_a, "transpose"), b = axis_of(tape, from, axis_b, "transpose");
  auto steps = steps_of(n);
  std::swap(steps[static_cast<std::size_t>(a)], steps[static_cast<std::size_t>(b)]);
  return record(from.with(a, from[b]).with(b, from[a]), Rearrange<T>{x, 0, steps}, x);
}

template <Real T>
Var<T> slice(Var<T> x, int axis, Index first, Index last) {
  Tape<T>& tape = x.tape();
  const Node<T>& n = tape.checked(x, "slice");
  const Shape from = n.shape;
  const Index stride = n.stride;
  const int at = axis_of(tape, from, axis, "slice");
  tape.template require<IndexError>(first >= 0 && first <= last && last <= from[at],
                                    "slice: {} .. {} is outside axis {} of {}", first, last, at, from);
  const Shape shape = from.with(at, last - first);
  if (at == from.rank() - 1) return tape.alias("slice", x, shape, first, stride);
  if (at == 0) return tape.alias("slice", x, shape, first * from.without(0).rows() * stride, stride);
  const auto steps = steps_of(n);
  return record(shape, Rearrange<T>{x, first * steps[static_cast<std::size_t>(at)], steps}, x);
}

template <Real T>
Var<T> broadcast_to(Var<T> x, const Shape& shape) {
  Tape<T>& tape = x.tape();
  const Node<T>& n = tape.checked(x, "broadcast_to");
  const Shape from = n.shape;
  tape.template require<ShapeError>(broadcast(from, shape, "broadcast_to") == shape, "broadcast_to: {} is not {}", from,
                                    shape);
  const auto steps = steps_of(n);
  std::array<Index, Shape::max_rank> stretched{};
  const int missing = shape.rank() - from.rank();
  for (int d = 0; d < from.rank(); ++d)
    if (from[d] != 1) stretched[static_cast<std::size_t>(d + missing)] = steps[static_cast<std::size_t>(d)];
  return record(shape, Rearrange<T>{x, 0, stretched}, x);
}

template <Real T>
Var<T> reverse(Var<T> x, int axis) {
  const Node<T>& n = x.tape().checked(x, "reverse");
  const Shape shape = n.shape;
  const auto at = static_cast<std::size_t>(axis_of(x.tape(), shape, axis, "reverse"));
  auto steps = steps_of(n);
  const Index offset = std::max<Index>(0, shape[axis] - 1) * steps[at];
  steps[at] = -steps[at];
  return record(shape, Rearrange<T>{x, offset, steps}, x);
}

namespace {

/// record() of any number of operands.
template <Real T, Rule<T> R>
Var<T> record_of(const Shape& shape, const R& rule, std::span<const Var<T>> inputs) {
  Tape<T>& tape = inputs[0].tape();
  const Var<T> y = tape.append(op_of<T, R>, shape, inputs);
  rule.forward(y);
  tape.keep_rule(y, rule);
  return y;
}

template <Real T>
Var<T> join(std::span<const Var<T>> parts, const Shape& shape, Index outer) {
  return record_of(shape, Concat<T>{parts[0].tape().keep(parts), outer}, parts);
}

}  // namespace

template <Real T>
Var<T> concat(std::span<const Var<T>> parts, int axis) {
  require<ValueError>(!parts.empty(), "concat: nothing to join");
  Tape<T>& tape = parts[0].tape();
  const Shape first = tape.checked(parts[0], "concat").shape;
  const int at = axis_of(tape, first, axis, "concat");
  Index extent = 0, outer = 1;
  for (const Var<T>& part : parts) {
    const Shape& shape = tape.checked(part, "concat").shape;
    tape.template require<ShapeError>(shape.rank() == first.rank() && shape.with(at, first[at]) == first,
                                      "concat: extents differ: {} and {} along axis {}", first, shape, at);
    extent += shape[at];
  }
  for (int d = 0; d < at; ++d) outer *= first[d];
  return join(parts, first.with(at, extent), outer);
}

template <Real T>
Var<T> stack(std::span<const Var<T>> parts) {
  require<ValueError>(!parts.empty(), "stack: nothing to stack");
  Tape<T>& tape = parts[0].tape();
  const Shape first = tape.checked(parts[0], "stack").shape;
  for (const Var<T>& part : parts) {
    const Shape& shape = tape.checked(part, "stack").shape;
    tape.template require<ShapeError>(shape == first, "stack: shapes differ: {} and {}", first, shape);
  }
  return join(parts, first.inserted(0, static_cast<Index>(parts.size())), Index{1});
}

namespace {

template <Real T>
SelectRows<T> selected(Tape<T>& tape, Var<T> x, std::span<const Index> rows) {
  const Shape& from = tape.checked(x, "gather_rows").shape;
  tape.template require<ShapeError>(from.rank() >= 1, "gather_rows: {} has no rows", from);
  for (const Index r : rows)
    tape.template require<IndexError>(r >= -1 && r < from.rows(), "gather_rows: row {} is outside {}", r, from);
  return {x, tape.keep(rows)};
}

}  // namespace

template <Real T>
Var<T> gather_rows(Var<T> x, std::span<const Index> rows, const Shape& shape) {
  Tape<T>& tape = x.tape();
  const SelectRows<T> part = selected(tape, x, rows);
  const Shape from = tape.node(x.index()).shape;
  tape.template require<ShapeError>(
      shape.rank() >= 1 && shape.cols() == from.cols() && shape.rows() == static_cast<Index>(rows.size()),
      "gather_rows: {} rows of {} do not make {}", rows.size(), from, shape);
  if (tape.is_zero(x.index())) return tape.zeros(shape);
  return record(shape, GatherRows<T>{part}, x);
}

template <Real T>
Var<T> gather_rows(std::span<const Var<T>> xs, std::span<const std::span<const Index>> rows, const Shape& shape) {
  require<ValueError>(!xs.empty() && xs.size() == rows.size(), "gather_rows: {} values, {} lists of rows", xs.size(),
                      rows.size());
  Tape<T>& tape = xs[0].tape();
  const auto parts = tape.template room<SelectRows<T>>(static_cast<Index>(xs.size()));
  Index width = 0;
  for (std::size_t i = 0; i < xs.size(); ++i) {
    parts[i] = selected(tape, xs[i], rows[i]);
    const Shape& from = tape.node(xs[i].index()).shape;
    tape.template require<ShapeError>(shape.rank() >= 1 && shape.rows() == static_cast<Index>(rows[i].size()),
                                      "gather_rows: {} rows of {} do not make {}", rows[i].size(), from, shape);
    width += from.cols();
  }
  tape.template require<ShapeError>(shape.cols() == width, "gather_rows: {} features side by side do not make {}",
                                    width, shape);
  return record_of(shape, GatherRowsBeside<T>{parts}, xs);
}

template <Real T>
Var<T> pick(Var<T> x, std::span<const std::int32_t> columns) {
  Tape<T>& tape = x.tape();
  const Shape from = tape.checked(x, "pick").shape;
  tape.template require<ShapeError>(from.rank() >= 1 && from.rows() == static_cast<Index>(columns.size()),
                                    "pick: {} indices for {}", columns.size(), from);
  for (const std::int32_t c : columns)
    tape.template require<IndexError>(c >= 0 && c < from.cols(), "pick: index {} is outside the last axis of {}", c,
                                      from);
  const auto kept = tape.keep(columns);
  return record(from.without(-1), Pick<T>{x, kept}, x);
}

template <Real T>
Var<T> stop_gradient(Var<T> x) {
  return x.tape().detach(x);
}

#define UNROLL_INSTANTIATE(T)                                                                                  \
  template Var<T> contiguous(Var<T>);                                                                          \
  template Var<T> reshape(Var<T>, const Shape&);                                                               \
  template Var<T> transpose(Var<T>, int, int);                                                                 \
  template Var<T> slice(Var<T>, int, Index, Index);                                                            \
  template Var<T> broadcast_to(Var<T>, const Shape&);                                                          \
  template Var<T> reverse(Var<T>, int);                                                                        \
  template Var<T> concat(std::span<const Var<T>>, int);                                                        \
  template Var<T> stack(std::span<const Var<T>>);                                                              \
  template Var<T> gather_rows(Var<T>, std::span<const Index>, const Shape&);                                   \
  template Var<T> gather_rows(std::span<const Var<T>>, std::span<const std::span<const Index>>, const Shape&); \
  template Var<T> pick(Var<T>, std::span<const std::int32_t>);                                                 \
  template Var<T> stop_gradient(Var<T>);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)

}  // namespace unroll::inline UNROLL_ISA::detail
