#include <unroll/autograd/ops/attention_scores.h>
#include <unroll/autograd/tensor/exponential.h>

namespace unroll::inline UNROLL_ISA::detail {
namespace {

/// The valid steps of each row of a source whose rows lie one after the other.
struct SourceSteps {
  Index time;
  std::span<const Index> lengths;

  Index of(Index b) const { return lengths.empty() ? time : lengths[static_cast<std::size_t>(b)]; }
};

/// One key, its query and the weights of the units.
template <Real T>
struct AdditiveRow {
  const T *key, *query, *v;
  Index units;

  T score() const {
    Batch<T> partial(T(0));
    Index i = 0;
    for (; i + lanes<T> <= units; i += lanes<T>) partial += load(v + i) * math::tanh(load(key + i) + load(query + i));
    T total = simd::total(partial);
    for (; i < units; ++i) total += v[i] * math::tanh(key[i] + query[i]);
    return total;
  }
  void add_gradients(T dy, T* dkey, T* dquery, T* dv) const {
    Index i = 0;
    for (; i + lanes<T> <= units; i += lanes<T>) {
      const Batch<T> y = math::tanh(load(key + i) + load(query + i)), d = Batch<T>(dy);
      const Batch<T> dx = d * load(v + i) * (Batch<T>(T(1)) - y * y);
      (load(dkey + i) + dx).store_unaligned(dkey + i);
      (load(dquery + i) + dx).store_unaligned(dquery + i);
      (load(dv + i) + d * y).store_unaligned(dv + i);
    }
    for (; i < units; ++i) {
      const T y = math::tanh(key[i] + query[i]), dx = dy * v[i] * (T(1) - y * y);
      dkey[i] += dx;
      dquery[i] += dx;
      dv[i] += dy * y;
    }
  }

 private:
  static Batch<T> load(const T* at) { return Batch<T>::load_unaligned(at); }
};

template <Real T>
struct AdditiveScores {
  static constexpr const char* name = "additive_scores";
  Var<T> keys, query, v;
  SourceSteps steps;

  void forward(Var<T> y) const {
    const View<const T> k = values(keys), q = values(query);
    const T* const w = values(v).data;
    const View<T> out = result(y);
    for (Index b = 0; b < out.rows; ++b) {
      const Index n = steps.of(b);
      for (Index t = 0; t < n; ++t)
        out.row(b)[t] = AdditiveRow<T>{k.row(b * steps.time + t), q.row(b), w, k.cols}.score();
      std::fill(out.row(b) + n, out.row(b) + out.cols, -std::numeric_limits<T>::infinity());
    }
  }
  void backward(Var<T> y) const {
    const View<const T> k = values(keys), q = values(query), dy = gradient(y);
    const T* const w = values(v).data;
    T* const unwanted = y.tape().template scratch<T>(k.cols).data();
    std::fill_n(unwanted, k.cols, T(0));
    const View<T> dk = wanted(keys) ? gradient(keys) : View<T>{}, dq = wanted(query) ? gradient(query) : View<T>{};
    T* const dv = wanted(v) ? gradient(v).data : unwanted;
    for (Index b = 0; b < dy.rows; ++b)
      for (Index t = 0; t < steps.of(b); ++t) {
        const Index r = b * steps.time + t;
        AdditiveRow<T>{k.row(r), q.row(b), w, k.cols}.add_gradients(
            dy.row(b)[t], dk.data == nullptr ? unwanted : dk.row(r), dq.data == nullptr ? unwanted : dq.row(b), dv);
      }
  }
};

template <Real T>
struct DotScores {
  static constexpr const char* name = "dot_scores";
  Var<T> keys, query;
  SourceSteps steps;

  void forward(Var<T> y) const {
    const View<const T> k = values(keys), q = values(query);
    const View<T> out = result(y);
    for (Index b = 0; b < out.rows; ++b) {
      const Index n = steps.of(b);
      for (Index t = 0; t < n; ++t) out.row(b)[t] = simd::dot(k.row(b * steps.time + t), q.row(b), k.cols);
      std::fill(out.row(b) + n, out.row(b) + out.cols, -std::numeric_limits<T>::infinity());
    }
  }
  void backward(Var<T> y) const {
    const View<const T> k = values(keys), q = values(query), dy = gradient(y);
    const View<T> dk = wanted(keys) ? gradient(keys) : View<T>{}, dq = wanted(query) ? gradient(query) : View<T>{};
    for (Index b = 0; b < dy.rows; ++b)
      for (Index t = 0; t < steps.of(b); ++t) {
        const Index r = b * steps.time + t;
        if (dk.data != nullptr) simd::add_scaled(dy.row(b)[t], q.row(b), dk.row(r), k.cols);
        if (dq.data != nullptr) simd::add_scaled(dy.row(b)[t], k.row(r), dq.row(b), k.cols);
      }
  }
};

template <Real T>
struct WeightedSum {
  static constexpr const char* name = "weighted_sum";
  Var<T> weights, summands;
  SourceSteps steps;

  void forward(Var<T> y) const {
    const View<const T> w = values(weights), v = values(summands);
    const View<T> out = result(y);
    for (Index b = 0; b < out.rows; ++b) {
      std::fill_n(out.row(b), out.cols, T(0));
      for (Index t = 0; t < steps.of(b); ++t)
        simd::add_scaled(w.row(b)[t], v.row(b * steps.time + t), out.row(b), out.cols);
    }
  }
  void backward(Var<T> y) const {
    const View<const T> w = values(weights), v = values(summands), dy = gradient(y);
    const View<T> dw = wanted(weights) ? gradient(weights) : View<T>{},
                  dv = wanted(summands) ? gradient(summands) : View<T>{};
    for (Index b = 0; b < dy.rows; ++b)
      for (Index t = 0; t < steps.of(b); ++t) {
        const Index r = b * steps.time + t;
        if (dw.data != nullptr) dw.row(b)[t] += simd::dot(dy.row(b), v.row(r), dy.cols);
        if (dv.data != nullptr) simd::add_scaled(w.row(b)[t], dy.row(b), dv.row(r), dy.cols);
      }
  }
};

template <Real T>
struct SlidingWindows {
  static constexpr const char* name = "sliding_windows";
  Var<T> x;
  Index size;

  /// f(step, first column of its window, where that lies in the row, how many columns)
  template <class F>
  void for_each_window(Index time, F f) const {
    for (Index t = 0; t < time; ++t) {
      const Index first = t - size / 2, from = std::max<Index>(0, first), to = std::min(time, first + size);
      f(t, from - first, from, std::max<Index>(0, to - from));
    }
  }
  void forward(Var<T> y) const {
    const View<const T> in = values(x);
    const View<T> out = result(y);
    for (Index r = 0; r < in.rows; ++r)
      for_each_window(in.cols, [&](Index t, Index column, Index at, Index count) {
        T* const row = out.row(r * in.cols + t);
        std::fill_n(row, size, T(0));
        std::copy_n(in.row(r) + at, count, row + column);
      });
  }
  void backward(Var<T> y) const {
    const View<const T> dy = gradient(y);
    const View<T> dx = gradient(x);
    for (Index r = 0; r < dx.rows; ++r)
      for_each_window(dx.cols, [&](Index t, Index column, Index at, Index count) {
        simd::add_scaled(T(1), dy.row(r * dx.cols + t) + column, dx.row(r) + at, count);
      });
  }
};

template <Real T>
SourceSteps steps_of(Tape<T>& tape, const Shape& source, std::span<const Index> lengths, const char* op) {
  tape.template require<ShapeError>(lengths.empty() || static_cast<Index>(lengths.size()) == source[0],
                                    "{}: {} lengths for the source {}", op, lengths.size(), source);
  for (std::size_t b = 0; b < lengths.size(); ++b)
    tape.template require<ShapeError>(lengths[b] >= 0 && lengths[b] <= source[1], "{}: length {} of row {} in {}", op,
                                      lengths[b], b, source);
  return {source[1], tape.keep(lengths)};
}

}  // namespace

template <Real T>
Var<T> additive_scores(Var<T> keys, Var<T> query, Var<T> v, std::span<const Index> lengths) {
  Tape<T>& tape = keys.tape();
  const Shape k = tape.checked(keys, "additive_scores").shape, q = tape.checked(query, "additive_scores").shape,
              w = tape.checked(v, "additive_scores").shape;
  tape.template require<ShapeError>(k.rank() == 3 && q == Shape{k[0], k[2]} && w == Shape{k[2]},
                                    "additive_scores: keys {}, a query {} and weights {} do not fit", k, q, w);
  const SourceSteps steps = steps_of(tape, k, lengths, "additive_scores");
  return record(Shape{k[0], k[1]}, AdditiveScores<T>{keys, query, v, steps}, keys, query, v);
}

template <Real T>
Var<T> dot_scores(Var<T> keys, Var<T> query, std::span<const Index> lengths) {
  Tape<T>& tape = keys.tape();
  const Shape k = tape.checked(keys, "dot_scores").shape, q = tape.checked(query, "dot_scores").shape;
  tape.template require<ShapeError>(k.rank() == 3 && q == Shape{k[0], k[2]},
                                    "dot_scores: keys {} and a query {} do not fit", k, q);
  return record(Shape{k[0], k[1]}, DotScores<T>{keys, query, steps_of(tape, k, lengths, "dot_scores")}, keys, query);
}

template <Real T>
Var<T> weighted_sum(Var<T> weights, Var<T> values, std::span<const Index> lengths) {
  Tape<T>& tape = values.tape();
  const Shape w = tape.checked(weights, "weighted_sum").shape, v = tape.checked(values, "weighted_sum").shape;
  tape.template require<ShapeError>(v.rank() == 3 && w == Shape{v[0], v[1]},
                                    "weighted_sum: weights {} and values {} do not fit", w, v);
  return record(Shape{v[0], v[2]}, WeightedSum<T>{weights, values, steps_of(tape, v, lengths, "weighted_sum")}, weights,
                values);
}

template <Real T>
Var<T> sliding_windows(Var<T> x, Index size) {
  Tape<T>& tape = x.tape();
  const Shape shape = tape.checked(x, "sliding_windows").shape;
  tape.template require<ShapeError>(shape.rank() >= 1 && shape.rank() < Shape::max_rank,
                                    "sliding_windows: no axis can be added to {}", shape);
  tape.template require<ValueError>(size > 0, "sliding_windows: a window of {}", size);
  return record(shape.inserted(-1, size), SlidingWindows<T>{x, size}, x);
}

#define UNROLL_INSTANTIATE(T)                                                      \
  template Var<T> additive_scores(Var<T>, Var<T>, Var<T>, std::span<const Index>); \
  template Var<T> dot_scores(Var<T>, Var<T>, std::span<const Index>);              \
  template Var<T> weighted_sum(Var<T>, Var<T>, std::span<const Index>);            \
  template Var<T> sliding_windows(Var<T>, Index);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)

}  // namespace unroll::inline UNROLL_ISA::detail
