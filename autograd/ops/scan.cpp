#include <unroll/autograd/ops/scan.h>

#include <unroll/autograd/ops/layout.h>

namespace unroll::inline UNROLL_ISA::detail {
namespace {

template <Real T>
struct LinearScan {
  static constexpr const char* name = "linear_scan";
  Var<T> a, b, start;
  ScanSteps steps;

  /// f(row of the sequence, its predecessor there, or -1 - i for row i of the start)
  template <class F>
  void for_each_row(bool forward, F f) const {
    for (Index k = 0; k < steps.count(); ++k) {
      const auto t = static_cast<std::size_t>(forward ? k : steps.count() - 1 - k);
      for (Index i = 0; i < steps.alive[t]; ++i) f(steps.offsets[t] + i, t == 0 ? -1 - i : steps.offsets[t - 1] + i);
    }
  }
  void forward(Var<T> y) const {
    const View<const T> factor = values(a), term = values(b), first = values(start);
    const View<T> h = result(y);
    for_each_row(true, [&](Index r, Index before) {
      const T* const p = before < 0 ? first.row(-1 - before) : h.row(before);
      simd::multiply_add(factor.row(r), p, term.row(r), h.row(r), h.cols);
    });
  }
  void backward(Var<T> y) const {
    const View<const T> factor = values(a), first = values(start), h = values(y);
    const View<T> dh = gradient(y);
    const View<T> da = wanted(a) ? gradient(a) : View<T>{}, db = wanted(b) ? gradient(b) : View<T>{},
                  ds = wanted(start) ? gradient(start) : View<T>{};
    for_each_row(false, [&](Index r, Index before) {
      const T* const d = dh.row(r);
      T* const to = before >= 0 ? dh.row(before) : ds.data != nullptr ? ds.row(-1 - before) : nullptr;
      if (da.data != nullptr)
        simd::add_product(d, before < 0 ? first.row(-1 - before) : h.row(before), da.row(r), h.cols);
      if (db.data != nullptr) simd::add_scaled(T(1), d, db.row(r), h.cols);
      if (to != nullptr) simd::add_product(d, factor.row(r), to, h.cols);
    });
  }
};

template <Real T>
void check_steps(Var<T> rows, Var<T> start, const ScanSteps& steps, const char* op) {
  Tape<T>& tape = rows.tape();
  const Shape shape = tape.checked(rows, op).shape, before = tape.checked(start, op).shape;
  Index count = 0, alive = before.rank() == 2 ? before[0] : 0;
  bool fits =
      shape.rank() == 2 && before.rank() == 2 && shape[1] == before[1] && steps.offsets.size() == steps.alive.size();
  for (std::size_t t = 0; fits && t < steps.alive.size(); ++t) {
    fits = steps.alive[t] <= alive && steps.alive[t] >= 0 && steps.offsets[t] == count;
    alive = steps.alive[t];
    count += alive;
  }
  tape.template require<ShapeError>(fits && count == shape[0],
                                    "{}: rows {} and a start {} do not fit {} steps of {} rows", op, shape, before,
                                    steps.count(), count);
}

template <Real T>
ScanSteps kept(Tape<T>& tape, const ScanSteps& steps) {
  return {tape.keep(steps.alive), tape.keep(steps.offsets)};
}

}  // namespace

template <Real T>
Var<T> linear_scan(Var<T> a, Var<T> b, Var<T> start, const ScanSteps& steps) {
  check_steps(b, start, steps, "linear_scan");
  Tape<T>& tape = b.tape();
  const Shape shape = tape.node(b.index()).shape, factor = tape.checked(a, "linear_scan").shape;
  tape.template require<ShapeError>(factor == shape, "linear_scan: factors {} and terms {} differ", factor, shape);
  return record(shape, LinearScan<T>{a, b, start, kept(tape, steps)}, a, b, start);
}

template <Real T>
Var<T> last_rows(Var<T> rows, Var<T> start, const ScanSteps& steps) {
  check_steps(rows, start, steps, "last_rows");
  const auto parts = rows.tape().template room<Var<T>>(steps.count() + 1);
  const Index batch = start.shape()[0];
  std::size_t count = 0;
  Index ended = 0;
  for (Index t = steps.count(); t-- > 0;) {
    const Index alive = steps.alive[static_cast<std::size_t>(t)], offset = steps.offsets[static_cast<std::size_t>(t)];
    if (alive > ended) parts[count++] = slice(rows, 0, offset + ended, offset + alive);
    ended = alive;
  }
  if (batch > ended) parts[count++] = slice(start, 0, ended, batch);
  if (count == 0) return start;
  return count == 1 ? parts[0] : detail::concat(std::span<const Var<T>>(parts.first(count)), 0);
}

template <Real T>
Var<T> previous_rows(Var<T> rows, Var<T> start, const ScanSteps& steps) {
  check_steps(rows, start, steps, "previous_rows");
  const Shape shape = rows.shape();
  const Index batch = start.shape()[0];
  const auto from = rows.tape().template room<Index>(shape[0]);
  for (std::size_t t = 0; t < steps.alive.size(); ++t)
    for (Index i = 0; i < steps.alive[t]; ++i)
      from[static_cast<std::size_t>(steps.offsets[t] + i)] = t == 0 ? i : batch + steps.offsets[t - 1] + i;
  const std::array<Var<T>, 2> both{start, rows};
  return detail::gather_rows(detail::concat(std::span<const Var<T>>(both), 0), from, shape);
}

#define UNROLL_INSTANTIATE(T)                                            \
  template Var<T> linear_scan(Var<T>, Var<T>, Var<T>, const ScanSteps&); \
  template Var<T> last_rows(Var<T>, Var<T>, const ScanSteps&);           \
  template Var<T> previous_rows(Var<T>, Var<T>, const ScanSteps&);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)

}  // namespace unroll::inline UNROLL_ISA::detail
