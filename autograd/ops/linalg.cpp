#include <unroll/autograd/ops/layout.h>
#include <unroll/autograd/ops/linalg.h>
#include <unroll/autograd/ops/select_rows.h>
#include <unroll/autograd/tensor/fetch_ahead.h>

namespace unroll::inline UNROLL_ISA::detail {
namespace {

Trans flag(bool transposed) { return transposed ? Trans::yes : Trans::no; }

/// op(left) op(right) into `to`; by the packed copy of `right` where it is a parameter and the rows are few enough that
/// packing shows.
template <Real T>
void product(Trans tl, View<const T> left, Trans tr, Var<T> right, View<T> to, std::type_identity_t<Addend<T>> addend,
             const T* bias = nullptr) {
  constexpr Index few_rows = 256;
  const Parameter<T>* const parameter = right.tape().whole_parameter_of(right.index());
  if (parameter != nullptr && to.rows <= few_rows)
    gemm<T>(tl, left, parameter->packed(tr), to, addend, bias);
  else
    gemm<T>(tl, left, tr, values(right), to, addend, bias);
}

/// What backward reads and writes between product y and the next one of its kind is fetched while this one is taken.
template <Real T>
void fetch_ahead(Var<T> y) {
  constexpr std::uint32_t most_nodes = 10;
  const Tape<T>& tape = y.tape();
  FetchAhead& ahead = FetchAhead::of_thread();
  ahead.clear();
  const std::uint32_t end = y.index() - std::min(y.index(), most_nodes);
  for (std::uint32_t i = y.index(); i-- > end && tape.node(i).op != tape.node(y.index()).op;) {
    const Node<T>& n = tape.node(i);
    if (n.rule == nullptr || n.grad == nullptr) continue;
    for (const std::uint32_t input : std::span(n.inputs, n.input_count)) {
      const Node<T>& x = tape.node(input);
      if (x.leaf != 0 || x.grad == nullptr) continue;
      const Index bytes = ((x.shape.rows() - 1) * x.stride + x.shape.cols()) * static_cast<Index>(sizeof(T));
      ahead.add(x.value, bytes);
      ahead.add(x.grad, bytes);
    }
  }
}

/// In the backward of y, a product left op(right): adds to the gradient of `left`.
template <Real T>
void add_left_gradient(Var<T> left, Trans tr, Var<T> right, Var<T> y) {
  if (!wanted(left)) return;
  constexpr Index wide = 64;  // columns of a product that fetches
  if (values(left).cols >= wide) fetch_ahead(y);
  const auto [d, fresh] = left.tape().claim_gradient(left.index());
  product<T>(Trans::no, gradient(y), turned(tr), right, d, !fresh);
}

/// d(right) += left^T dy of the same product; nothing but a zero arrives where `left` is known to be 0.
template <Real T>
void add_right_gradient(Var<T> left, Var<T> right, View<const T> dy) {
  const Index rows = left.tape().is_zero(left.index()) ? 0 : dy.rows;
  left.tape().defer_product(right.index(), values(left).rows_between(0, rows), dy.rows_between(0, rows));
}

/// x op(w) + bias where rows of x recur, one product for each distinct row.
template <Real T>
struct DistinctProduct {
  static constexpr Index block = 256;
  const DistinctRows<T>& x;
  Trans trans;
  Var<T> w;
  Index depth;  // columns of x

  void forward(Var<T> result, const T* bias) const {
    Tape<T>& tape = w.tape();
    const View<T> y = unroll::result(result);
    // Where so few are worth keeping, the rows of y are put in their places when they are read.
    constexpr Index rows_for_each = 8;
    const bool kept = rows_for_each * x.count() <= y.rows;
    const std::span<const T*> at = tape.template room<const T*>(kept ? y.rows : 0);
    const std::span<T> all = tape.template room<T>(kept ? x.count() * y.cols : 0);
    const std::span<T> memory = tape.template scratch<T>(block * (depth + y.cols));
    for (Index first = 0; first < x.count(); first += block) {
      const Index n = std::min(block, x.count() - first);
      T* const to = kept ? all.data() + first * y.cols : memory.data() + block * depth;
      const View<T> rows{memory.data(), n, depth, depth}, products{to, n, y.cols, y.cols};
      x.gather(first, rows);
      product<T>(Trans::no, rows, trans, w, products, false, bias);
      if (kept)
        x.point(first, products, at);
      else
        x.spread(first, products, y);
    }
    if (kept) tape.postpone(result, {at.data(), y.rows, y.cols});
  }
  void backward(View<const T> dy, T* dbias) const {
    Tape<T>& tape = w.tape();
    const std::span<T> memory = tape.template scratch<T>(block * (depth + dy.cols));
    for (Index first = 0; first < x.count(); first += block) {
      const Index n = std::min(block, x.count() - first);
      const View<T> rows{memory.data(), n, depth, depth}, sums{memory.data() + block * depth, n, dy.cols, dy.cols};
      x.collect(first, dy, sums);
      if (dbias != nullptr) simd::add_rows(sums.data, sums.stride, n, dbias, sums.cols);
      if (wanted(w)) {
        x.gather(first, rows);
        const auto [dw, fresh] = tape.claim_gradient(w.index());
        if (trans == Trans::no)
          gemm<T>(Trans::yes, rows, Trans::no, sums, dw, !fresh);
        else
          gemm<T>(Trans::yes, sums, Trans::no, rows, dw, !fresh);
      }
      if (!x.source_wanted()) continue;
      product<T>(Trans::no, sums, turned(trans), w, rows, false);
      x.add_to_source(first, rows);
    }
  }
  /// What backward() did not add to the gradient of x.between()[k].
  void pay(View<const T> dy, std::size_t k) const {
    const View<T> d{w.tape().template scratch<T>(dy.rows * depth).data(), dy.rows, depth, depth};
    product<T>(Trans::no, dy, turned(trans), w, d, false);
    x.add_between(k, d);
  }
};

/// The payment of a rule that has a DistinctProduct.
template <Real T, class R>
void pay(const void* rule, Var<T> y, std::size_t k) {
  static_cast<const R*>(rule)->by_distinct_rows().pay(gradient(y), k);
}

template <Real T>
struct MatMul {
  static constexpr const char* name = "matmul";
  static constexpr bool reads_result = false;
  Var<T> a, b;
  Transposed transposed;
  const DistinctRows<T>* distinct;

  DistinctProduct<T> by_distinct_rows() const { return {*distinct, flag(transposed.b), b, values(a).cols}; }
  void forward(Var<T> y) const {
    if (distinct != nullptr) return by_distinct_rows().forward(y, nullptr);
    if (y.tape().is_zero(a.index())) {
      std::fill_n(result(y).data, y.shape().size(), T(0));
      return;
    }
    product<T>(flag(transposed.a), values(a), flag(transposed.b), b, result(y), false);
  }
  void backward(Var<T> y) const {
    Tape<T>& tape = y.tape();
    if (distinct != nullptr) {
      by_distinct_rows().backward(gradient(y), nullptr);
      return tape.owe(distinct->between(), y, &pay<T, MatMul>);
    }
    const View<const T> dy = gradient(y), x = values(a), w = values(b);
    if (!transposed.a) {
      add_left_gradient(a, flag(transposed.b), b, y);
      if (wanted(b)) {
        if (transposed.b)
          tape.defer_product(b.index(), dy, x);
        else
          add_right_gradient(a, b, dy);
      }
      return;
    }
    if (wanted(a)) gemm<T>(flag(transposed.b), w, Trans::yes, dy, gradient(a), true);
    if (wanted(b)) {
      if (transposed.b)
        gemm<T>(Trans::yes, dy, Trans::yes, x, gradient(b), true);
      else
        gemm<T>(Trans::no, x, Trans::no, dy, gradient(b), true);
    }
  }
};

template <Real T>
struct Affine {
  static constexpr const char* name = "affine";
  static constexpr bool reads_result = false;
  Var<T> x, w, bias;
  const DistinctRows<T>* distinct;

  DistinctProduct<T> by_distinct_rows() const { return {*distinct, Trans::no, w, values(x).cols}; }
  void forward(Var<T> y) const {
    if (distinct != nullptr) return by_distinct_rows().forward(y, values(bias).data);
    product<T>(Trans::no, values(x), Trans::no, w, result(y), false, values(bias).data);
  }
  void backward(Var<T> y) const {
    const View<const T> dy = gradient(y), from = values(x);
    T* const db = wanted(bias) ? gradient(bias).data : nullptr;
    if (distinct != nullptr) {
      by_distinct_rows().backward(dy, db);
      return y.tape().owe(distinct->between(), y, &pay<T, Affine>);
    }
    const auto [dx, fresh] =
        wanted(x) ? y.tape().claim_gradient(x.index(), {w.index(), bias.index()}) : std::pair<View<T>, bool>();
    // By blocks of rows, so that each is read from the cache where it is read again.
    for (Index first = 0; first < dy.rows; first += Tape<T>::product_rows) {
      const Index last = std::min(dy.rows, first + Tape<T>::product_rows);
      const View<const T> d = dy.rows_between(first, last);
      if (dx.data != nullptr) product<T>(Trans::no, d, Trans::yes, w, dx.rows_between(first, last), !fresh);
      if (wanted(w)) y.tape().defer_product(w.index(), from.rows_between(first, last), d);
      if (db != nullptr) simd::add_rows(d.data, d.stride, d.rows, db, d.cols);
    }
  }
};

template <Real T>
struct AddMM {
  static constexpr const char* name = "addmm";
  static constexpr bool reads_result = false;
  Var<T> x, h, w;
  bool in_place;

  void forward(Var<T> y) const {
    const View<T> out = result(y);
    const Addend<T> addend = in_place ? y.tape().addend(x) : true;
    const bool multiplied = !y.tape().is_zero(h.index());
    if (!in_place) {
      const View<const T> from = values(x);
      for (Index r = 0; r < out.rows; ++r) std::copy_n(from.row(r), out.cols, out.row(r));
    } else if (!multiplied && addend.rows != nullptr) {
      for (Index r = 0; r < out.rows; ++r) std::copy_n(addend.rows[r] + addend.column, out.cols, out.row(r));
    }
    if (multiplied) product<T>(Trans::no, values(h), Trans::no, w, out, addend);
  }
  void backward(Var<T> y) const {
    const View<const T> dy = gradient(y);
    if (!in_place && wanted(x)) {
      const View<T> dx = gradient(x);
      for (Index r = 0; r < dy.rows; ++r) simd::add_scaled(T(1), dy.row(r), dx.row(r), dy.cols);
    }
    add_left_gradient(h, Trans::no, w, y);
    if (wanted(w)) add_right_gradient(h, w, dy);
  }
};

template <Real T>
struct BatchedMatMul {
  static constexpr const char* name = "batched_matmul";
  Var<T> a, b;
  Transposed transposed;

  static View<const T> matrix(View<const T> v, Index count, Index i) {
    const Index rows = v.rows / count;
    return v.rows_between(i * rows, (i + 1) * rows);
  }
  static View<T> matrix(View<T> v, Index count, Index i) {
    const Index rows = v.rows / count;
    return v.rows_between(i * rows, (i + 1) * rows);
  }
  void forward(Var<T> y) const {
    const Index n = y.shape()[0];
    for (Index i = 0; i < n; ++i)
      gemm<T>(flag(transposed.a), matrix(values(a), n, i), flag(transposed.b), matrix(values(b), n, i),
              matrix(result(y), n, i), false);
  }
  void backward(Var<T> y) const {
    const Index n = y.shape()[0];
    const View<const T> dy = gradient(y);
    if (wanted(a)) {
      const View<T> da = gradient(a);
      for (Index i = 0; i < n; ++i) {
        if (transposed.a)
          gemm<T>(flag(transposed.b), matrix(values(b), n, i), Trans::yes, matrix(dy, n, i), matrix(da, n, i), true);
        else
          gemm<T>(Trans::no, matrix(dy, n, i), flag(!transposed.b), matrix(values(b), n, i), matrix(da, n, i), true);
      }
    }
    if (wanted(b)) {
      const View<T> db = gradient(b);
      for (Index i = 0; i < n; ++i) {
        if (transposed.b)
          gemm<T>(Trans::yes, matrix(dy, n, i), flag(transposed.a), matrix(values(a), n, i), matrix(db, n, i), true);
        else
          gemm<T>(flag(!transposed.a), matrix(values(a), n, i), Trans::no, matrix(dy, n, i), matrix(db, n, i), true);
      }
    }
  }
};

}  // namespace

template <Real T>
Var<T> matmul(Var<T> a, Var<T> b, Transposed transposed) {
  Tape<T>& tape = a.tape();
  const Shape x = tape.checked(a, "matmul").shape, w = tape.checked(b, "matmul").shape;
  const std::array<Var<T>, 2> both{a, b};
  const auto check = [&](bool ok, const char* what) {
    if (!ok) [[unlikely]]
      throw ShapeError(tape.located(fmt::format("matmul: {}: {} x {}", what, x, w), both));
  };
  check(x.rank() >= 1 && w.rank() == 2 && (!transposed.a || x.rank() == 2), "the right operand must be a matrix");
  check((transposed.a ? x[0] : x.cols()) == (transposed.b ? w[1] : w[0]), "inner extents differ");
  const Index cols = transposed.b ? w[0] : w[1];
  const Shape shape = transposed.a ? Shape{x[1], cols} : x.with(-1, cols);
  const DistinctRows<T>* const distinct = transposed.a ? nullptr : DistinctRows<T>::of(a);
  return record(shape, MatMul<T>{a, b, transposed, distinct}, a, b);
}

template <Real T>
Var<T> affine(Var<T> x, Var<T> w, Var<T> bias) {
  Tape<T>& tape = x.tape();
  const Shape sx = tape.checked(x, "affine").shape, sw = tape.checked(w, "affine").shape,
              sb = tape.checked(bias, "affine").shape;
  if (sw.rank() != 2 || sx.rank() < 1 || sx.cols() != sw[0] || sb != Shape{sw[1]}) [[unlikely]] {
    const std::array<Var<T>, 2> both{x, w};
    throw ShapeError(tape.located(fmt::format("affine: shapes do not fit: {} x {} + {}", sx, sw, sb), both));
  }
  const Var<T> b = contiguous(bias);
  return record(sx.with(-1, sw[1]), Affine<T>{x, w, b, DistinctRows<T>::of(x)}, x, w, b);
}

template <Real T>
Var<T> addmm(Var<T> x, Var<T> h, Var<T> w) {
  Tape<T>& tape = h.tape();
  const Shape sx = tape.checked(x, "addmm").shape, sh = tape.checked(h, "addmm").shape,
              sw = tape.checked(w, "addmm").shape;
  const std::array<Var<T>, 3> all{x, h, w};
  const bool fits = sw.rank() == 2 && sh.rank() >= 1 && sh.cols() == sw[0] && sx == sh.with(-1, sw[1]);
  if (!fits) [[unlikely]]
    throw ShapeError(tape.located(fmt::format("addmm: shapes do not fit: {} + {} x {}", sx, sh, sw), all));
  if (!tape.consume(x)) return record(sx, AddMM<T>{x, h, w, false}, x, h, w);
  const AddMM<T> rule{x, h, w, true};
  const Var<T> y = tape.append_over(op_of<T, AddMM<T>>, x, all);
  const FlushDenormals no_denormals;
  rule.forward(y);
  tape.keep_rule(y, rule);
  return y;
}

template <Real T>
Var<T> batched_matmul(Var<T> a, Var<T> b, Transposed transposed) {
  Tape<T>& tape = a.tape();
  const Shape x = tape.checked(a, "batched_matmul").shape, w = tape.checked(b, "batched_matmul").shape;
  tape.template require<ShapeError>(x.rank() == 3 && w.rank() == 3 && x[0] == w[0],
                                    "batched_matmul: two batches of as many matrices are needed, not {} and {}", x, w);
  tape.template require<ShapeError>((transposed.a ? x[1] : x[2]) == (transposed.b ? w[2] : w[1]),
                                    "batched_matmul: inner extents differ: {} x {}", x, w);
  const Shape shape{x[0], transposed.a ? x[2] : x[1], transposed.b ? w[1] : w[2]};
  return record(shape, BatchedMatMul<T>{a, b, transposed}, a, b);
}

template <Real T>
Var<T> outer(Var<T> a, Var<T> b) {
  Tape<T>& tape = a.tape();
  const Shape x = tape.checked(a, "outer").shape, y = tape.checked(b, "outer").shape;
  const bool vectors = x.rank() == 1 && y.rank() == 1;
  tape.template require<ShapeError>(vectors || (x.rank() == 2 && y.rank() == 2 && x[0] == y[0]),
                                    "outer: two vectors or two batches of them are needed, not {} and {}", x, y);
  if (vectors) return matmul(reshape(a, {x[0], 1}), reshape(b, {1, y[0]}), {});
  return batched_matmul(reshape(a, {x[0], x[1], 1}), reshape(b, {y[0], 1, y[1]}), {});
}

template Var<float> matmul(Var<float>, Var<float>, Transposed);
template Var<double> matmul(Var<double>, Var<double>, Transposed);
template Var<float> affine(Var<float>, Var<float>, Var<float>);
template Var<float> addmm(Var<float>, Var<float>, Var<float>);
template Var<double> affine(Var<double>, Var<double>, Var<double>);
template Var<double> addmm(Var<double>, Var<double>, Var<double>);
template Var<float> batched_matmul(Var<float>, Var<float>, Transposed);
template Var<double> batched_matmul(Var<double>, Var<double>, Transposed);
template Var<float> outer(Var<float>, Var<float>);
template Var<double> outer(Var<double>, Var<double>);

}  // namespace unroll::inline UNROLL_ISA::detail
