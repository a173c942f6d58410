#include <unroll/autograd/ops/elementwise.h>
#include <unroll/autograd/ops/layout.h>
#include <unroll/autograd/ops/line_sum.h>
#include <unroll/autograd/ops/reduce.h>

namespace unroll::inline UNROLL_ISA::detail {
namespace {

/// An array seen as [outer, count, inner] around the axis in the middle.
struct Fold {
  Index outer = 1, count = 1, inner = 1;
  Fold(const Shape& shape, int axis) {
    const int at = shape.position(axis);
    for (int d = 0; d < at; ++d) outer *= shape[d];
    count = shape[at];
    for (int d = at + 1; d < shape.rank(); ++d) inner *= shape[d];
  }
  /// f(where a line along the axis starts, where its result lies)
  template <class F>
  void for_each_line(F f) const {
    for (Index o = 0; o < outer; ++o)
      for (Index i = 0; i < inner; ++i) f(o * count * inner + i, o * inner + i);
  }
};

/// A row of this thread's own memory, one for each `Which`.
template <int Which, Real T>
T* scratch(Index n) {
  static thread_local std::vector<T> row;
  row.resize(static_cast<std::size_t>(n));
  return row.data();
}

/// A line as a row: where it lies, or copied together.
template <int Which, Real T>
const T* gather(const T* x, const Fold& fold, Index start) {
  if (fold.inner == 1) return x + start;
  T* const row = scratch<Which, T>(fold.count);
  for (Index k = 0; k < fold.count; ++k) row[k] = x[start + k * fold.inner];
  return row;
}

/// The line of y that starts at `start` = f(v) of the elements of a row.
template <Real T, class F>
void map_line(const T* x, T* y, const Fold& fold, Index start, F f) {
  if (fold.inner == 1) return simd::map(x, y + start, fold.count, f);
  T* const row = scratch<2, T>(fold.count);
  simd::map(x, row, fold.count, f);
  for (Index k = 0; k < fold.count; ++k) y[start + k * fold.inner] = row[k];
}

/// The line of y that starts at `start` += a x
template <Real T>
void add_to_line(T a, const T* x, T* y, const Fold& fold, Index start) {
  if (fold.inner == 1) return simd::add_scaled(a, x, y + start, fold.count);
  for (Index k = 0; k < fold.count; ++k) y[start + k * fold.inner] = std::fma(a, x[k], y[start + k * fold.inner]);
}

template <Real T>
struct Sum {
  static constexpr const char* name = "sum";
  Var<T> x;

  void forward(Var<T> y) const {
    const View<const T> v = values(x);
    T total = 0;
    for (Index r = 0; r < v.rows; ++r) total += simd::sum(v.row(r), v.cols);
    *result(y).data = total;
  }
  void backward(Var<T> y) const {
    const T dy = *gradient(y).data;
    const View<T> dx = gradient(x);
    for (Index r = 0; r < dx.rows; ++r)
      for (Index c = 0; c < dx.cols; ++c) dx.row(r)[c] += dy;
  }
};

template <Real T>
struct SumAxis {
  static constexpr const char* name = "sum";
  Var<T> x;
  Fold fold;

  void forward(Var<T> y) const {
    const T* const from = values(x).data;
    T* const to = result(y).data;
    if (fold.inner == 1) {
      for (Index o = 0; o < fold.outer; ++o) to[o] = simd::sum(from + o * fold.count, fold.count);
      return;
    }
    std::fill_n(to, fold.outer * fold.inner, T(0));
    for (Index o = 0; o < fold.outer; ++o)
      for (Index k = 0; k < fold.count; ++k)
        simd::add_scaled(T(1), from + (o * fold.count + k) * fold.inner, to + o * fold.inner, fold.inner);
  }
  void backward(Var<T> y) const {
    const T* const dy = gradient(y).data;
    T* const dx = gradient(x).data;
    if (fold.inner == 1) {
      for (Index o = 0; o < fold.outer; ++o)
        for (Index k = 0; k < fold.count; ++k) dx[o * fold.count + k] += dy[o];
      return;
    }
    for (Index o = 0; o < fold.outer; ++o)
      for (Index k = 0; k < fold.count; ++k)
        simd::add_scaled(T(1), dy + o * fold.inner, dx + (o * fold.count + k) * fold.inner, fold.inner);
  }
};

template <Real T>
struct SegmentSum {
  static constexpr const char* name = "segment_sum";
  Var<T> x;
  std::span<const Index> segments;

  void forward(Var<T> y) const {
    const View<const T> from = values(x);
    const View<T> to = result(y);
    for (Index s = 0; s < to.rows; ++s) std::fill_n(to.row(s), to.cols, T(0));
    for (Index r = 0; r < from.rows; ++r)
      simd::add_scaled(T(1), from.row(r), to.row(segments[static_cast<std::size_t>(r)]), from.cols);
  }
  void backward(Var<T> y) const {
    const View<const T> dy = gradient(y);
    const View<T> dx = gradient(x);
    for (Index r = 0; r < dx.rows; ++r)
      simd::add_scaled(T(1), dy.row(segments[static_cast<std::size_t>(r)]), dx.row(r), dx.cols);
  }
};

/// The index of the first element that is `value`, which may be NaN; there is one.
template <Real T>
Index first_of(const T* x, Index n, T value) {
  Index i = 0;
  if (std::isnan(value)) {
    while (!std::isnan(x[i])) ++i;
    return i;
  }
  // Whole blocks without a branch inside, which a compiler turns into a few comparisons of registers.
  constexpr Index block = 64;
  const auto has_it = [=](const T* from) {
    int found = 0;
    for (Index k = 0; k < block; ++k) found |= from[k] == value;
    return found != 0;
  };
  while (i + block <= n && !has_it(x + i)) i += block;
  while (x[i] != value) ++i;
  return i;
}

template <Real T>
struct MaxAxis {
  static constexpr const char* name = "max";
  Var<T> x;
  Fold fold;
  std::span<Index> at;

  void forward(Var<T> y) const {
    const T* const from = values(x).data;
    T* const to = result(y).data;
    fold.for_each_line([&](Index start, Index out) {
      const T* const line = gather<0>(from, fold, start);
      const Index best = first_of(line, fold.count, simd::max(line, fold.count));
      at[static_cast<std::size_t>(out)] = start + best * fold.inner;
      to[out] = from[start + best * fold.inner];
    });
  }
  void backward(Var<T> y) const {
    const T* const dy = gradient(y).data;
    T* const dx = gradient(x).data;
    for (std::size_t i = 0; i < at.size(); ++i) dx[at[i]] += dy[i];
  }
};

template <Real T>
struct LogSumExp {
  static constexpr const char* name = "logsumexp";
  Var<T> x;
  Fold fold;

  void forward(Var<T> y) const {
    const T* const from = values(x).data;
    T* const to = result(y).data;
    fold.for_each_line(
        [&](Index start, Index out) { to[out] = line_sum(gather<0>(from, fold, start), fold.count).logsumexp(); });
  }
  void backward(Var<T> y) const {
    const T* const from = values(x).data;
    const T* const to = values(y).data;
    const T* const dy = gradient(y).data;
    T* const dx = gradient(x).data;
    fold.for_each_line([&](Index start, Index out) {
      if (to[out] == -std::numeric_limits<T>::infinity()) return;  // no element has any weight
      T* const shares = scratch<2, T>(fold.count);
      const T lse = to[out];
      simd::map(gather<0>(from, fold, start), shares, fold.count,
                [=](auto v) { return math::exp(v - decltype(v)(lse)); });
      add_to_line(dy[out], shares, dx, fold, start);
    });
  }
};

template <Real T>
struct Softmax {
  static constexpr const char* name = "softmax";
  Var<T> x;
  Fold fold;

  void forward(Var<T> y) const {
    const T* const from = values(x).data;
    T* const to = result(y).data;
    fold.for_each_line([&](Index start, Index) {
      const T* const logits = gather<0>(from, fold, start);
      const T largest = simd::max(logits, fold.count);
      if (!std::isfinite(largest))
        return map_line(logits, to, fold, start, [=](auto v) { return math::exp(v - decltype(v)(largest)); });
      T* const line = fold.inner == 1 ? to + start : scratch<2, T>(fold.count);
      const T scale = T(1) / sum_of_exponentials(logits, fold.count, largest, line);
      map_line(line, to, fold, start, [=](auto v) { return decltype(v)(scale) * v; });
    });
  }
  void backward(Var<T> y) const {
    const T* const p = values(y).data;
    const T* const dy = gradient(y).data;
    T* const dx = gradient(x).data;
    fold.for_each_line([&](Index start, Index) {
      const T *const share = gather<0>(p, fold, start), *const d = gather<1>(dy, fold, start);
      T* const d_logits = scratch<2, T>(fold.count);
      const T mean = simd::dot(share, d, fold.count);
      for (Index k = 0; k < fold.count; ++k) d_logits[k] = share[k] * (d[k] - mean);
      add_to_line(T(1), d_logits, dx, fold, start);
    });
  }
};

template <Real T>
struct LogSoftmax {
  static constexpr const char* name = "log_softmax";
  Var<T> x;
  Fold fold;

  void forward(Var<T> y) const {
    const T* const from = values(x).data;
    T* const to = result(y).data;
    fold.for_each_line([&](Index start, Index) {
      const T* const logits = gather<0>(from, fold, start);
      const LineSum<T> line = line_sum(logits, fold.count);
      map_line(logits, to, fold, start, [=](auto v) { return line.log_share(v); });
    });
  }
  void backward(Var<T> y) const {
    const T* const log_p = values(y).data;
    const T* const dy = gradient(y).data;
    T* const dx = gradient(x).data;
    fold.for_each_line([&](Index start, Index) {
      const T* const d = gather<1>(dy, fold, start);
      T* const d_logits = scratch<2, T>(fold.count);
      const T total = simd::sum(d, fold.count);
      simd::map(gather<0>(log_p, fold, start), d_logits, fold.count, [](auto v) { return math::exp(v); });
      for (Index k = 0; k < fold.count; ++k) d_logits[k] = d[k] - d_logits[k] * total;
      add_to_line(T(1), d_logits, dx, fold, start);
    });
  }
};

template <Real T>
struct NormAxis {
  static constexpr const char* name = "norm";
  Var<T> x;
  Fold fold;

  void forward(Var<T> y) const {
    const T* const from = values(x).data;
    T* const to = result(y).data;
    fold.for_each_line([&](Index start, Index out) {
      T largest = 0, total = 0;  // scaled by the largest, so that squares do not overflow
      for (Index k = 0; k < fold.count; ++k) {
        const T size = std::abs(from[start + k * fold.inner]);
        largest = size > largest || size != size ? size : largest;
      }
      if (largest > 0 && std::isfinite(largest))
        for (Index k = 0; k < fold.count; ++k) {
          const T v = from[start + k * fold.inner] / largest;
          total += v * v;
        }
      to[out] = total > 0 ? largest * std::sqrt(total) : largest;
    });
  }
  void backward(Var<T> y) const {
    const T* const from = values(x).data;
    const T* const to = values(y).data;
    const T* const dy = gradient(y).data;
    T* const dx = gradient(x).data;
    fold.for_each_line([&](Index start, Index out) {
      if (to[out] == 0) return;
      for (Index k = 0; k < fold.count; ++k)
        dx[start + k * fold.inner] += dy[out] * (from[start + k * fold.inner] / to[out]);
    });
  }
};

template <Real T>
struct CumSum {
  static constexpr const char* name = "cumsum";
  Var<T> x;
  Fold fold;

  void forward(Var<T> y) const {
    const T* const from = values(x).data;
    T* const to = result(y).data;
    fold.for_each_line([&](Index start, Index) {
      T total = 0;
      for (Index k = 0; k < fold.count; ++k) to[start + k * fold.inner] = total += from[start + k * fold.inner];
    });
  }
  void backward(Var<T> y) const {
    const T* const dy = gradient(y).data;
    T* const dx = gradient(x).data;
    fold.for_each_line([&](Index start, Index) {
      T total = 0;
      for (Index k = fold.count; k-- > 0;) dx[start + k * fold.inner] += total += dy[start + k * fold.inner];
    });
  }
};

/// The operand with adjacent elements and the axis it is folded along.
template <Real T>
std::pair<Var<T>, Fold> folded(Var<T> x, int axis, const char* op) {
  const Shape shape = x.tape().checked(x, op).shape;
  const int at = axis_of(x.tape(), shape, axis, op);
  return {contiguous(x), Fold(shape, at)};
}

}  // namespace

template <Real T>
Var<T> sum(Var<T> x) {
  return record(Shape{}, Sum<T>{x}, x);
}

template <Real T>
Var<T> sum(Var<T> x, int axis) {
  const auto [v, fold] = folded(x, axis, "sum");
  return record(x.shape().without(axis), SumAxis<T>{v, fold}, v);
}

template <Real T>
Var<T> max(Var<T> x, int axis) {
  const auto [v, fold] = folded(x, axis, "max");
  x.tape().template require<ShapeError>(fold.count > 0, "max: axis {} of {} is empty", axis, x.shape());
  const auto at = x.tape().template room<Index>(fold.outer * fold.inner);
  return record(x.shape().without(axis), MaxAxis<T>{v, fold, at}, v);
}

template <Real T>
Var<T> logsumexp(Var<T> x, int axis) {
  const auto [v, fold] = folded(x, axis, "logsumexp");
  return record(x.shape().without(axis), LogSumExp<T>{v, fold}, v);
}

template <Real T>
Var<T> softmax(Var<T> x, int axis) {
  const auto [v, fold] = folded(x, axis, "softmax");
  return record(x.shape(), Softmax<T>{v, fold}, v);
}

template <Real T>
Var<T> log_softmax(Var<T> x, int axis) {
  const auto [v, fold] = folded(x, axis, "log_softmax");
  return record(x.shape(), LogSoftmax<T>{v, fold}, v);
}

template <Real T>
Var<T> norm(Var<T> x) {
  return norm(reshape(contiguous(x), {x.shape().size()}), 0);
}

template <Real T>
Var<T> norm(Var<T> x, int axis) {
  const auto [v, fold] = folded(x, axis, "norm");
  return record(x.shape().without(axis), NormAxis<T>{v, fold}, v);
}

template <Real T>
Var<T> cumsum(Var<T> x, int axis) {
  const auto [v, fold] = folded(x, axis, "cumsum");
  return record(x.shape(), CumSum<T>{v, fold}, v);
}

template <Real T>
Var<T> segment_sum(Var<T> x, std::span<const Index> segments, Index count) {
  Tape<T>& tape = x.tape();
  const Shape shape = tape.checked(x, "segment_sum").shape;
  tape.template require<ShapeError>(shape.rank() == 2 && shape[0] == static_cast<Index>(segments.size()),
                                    "segment_sum: {} segments for the rows of {}", segments.size(), shape);
  for (const Index s : segments)
    tape.template require<IndexError>(s >= 0 && s < count, "segment_sum: segment {} is not among {}", s, count);
  return record(Shape{count, shape[1]}, SegmentSum<T>{x, tape.keep(segments)}, x);
}

#define UNROLL_INSTANTIATE(T)               \
  template Var<T> sum(Var<T>);              \
  template Var<T> sum(Var<T>, int);         \
  template Var<T> max(Var<T>, int);         \
  template Var<T> logsumexp(Var<T>, int);   \
  template Var<T> softmax(Var<T>, int);     \
  template Var<T> log_softmax(Var<T>, int); \
  template Var<T> norm(Var<T>);             \
  template Var<T> norm(Var<T>, int);        \
  template Var<T> cumsum(Var<T>, int);      \
  template Var<T> segment_sum(Var<T>, std::span<const Index>, Index);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)

}  // namespace unroll::inline UNROLL_ISA::detail
