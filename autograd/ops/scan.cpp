#include <unroll/autograd/ops/scan.h>

#include <unroll/autograd/ops/layout.h>

namespace unroll::inline UNROLL_ISA::detail {
namespace {

template <Real T>
struct PreviousRows {
  static constexpr const char* name = "previous_rows";
  Var<T> rows, start;
  ScanSteps steps;

  /// f(row, whether the one before it is of the sequence and not of the start, that row)
  template <class F>
  void for_each_row(F f) const {
    for (std::size_t t = 0; t < steps.alive.size(); ++t)
      for (Index i = 0; i < steps.alive[t]; ++i) f(steps.offsets[t] + i, t > 0, (t > 0 ? steps.offsets[t - 1] : 0) + i);
  }
  void forward(Var<T> y) const {
    const View<const T> within = values(rows), first = values(start);
    const View<T> out = result(y);
    for_each_row([&](Index r, bool inside, Index before) {
      std::copy_n(inside ? within.row(before) : first.row(before), out.cols, out.row(r));
    });
  }
  void backward(Var<T> y) const {
    const View<T> dy = gradient(y);
    const View<T> within = wanted(rows) ? gradient(rows) : View<T>{},
                  first = wanted(start) ? gradient(start) : View<T>{};
    for_each_row([&](Index r, bool inside, Index before) {
      const View<T>& to = inside ? within : first;
      if (to.data != nullptr) simd::add_scaled(T(1), dy.row(r), to.row(before), dy.cols);
    });
  }
};

}  // namespace

template <Real T>
void check_steps(const Tape<T>& tape, const Shape& shape, const Shape& before, const ScanSteps& steps, const char* op) {
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
Var<T> last_rows(Var<T> rows, Var<T> start, const ScanSteps& steps) {
  check_steps(rows.tape(), rows.shape(), start.shape(), steps, "last_rows");
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
  check_steps(rows.tape(), rows.shape(), start.shape(), steps, "previous_rows");
  Tape<T>& tape = rows.tape();
  return record(rows.shape(), PreviousRows<T>{rows, start, {tape.keep(steps.alive), tape.keep(steps.offsets)}}, rows,
                start);
}

#define UNROLL_INSTANTIATE(T)                                                                           \
  template void check_steps(const Tape<T>&, const Shape&, const Shape&, const ScanSteps&, const char*); \
  template Var<T> last_rows(Var<T>, Var<T>, const ScanSteps&);                                          \
  template Var<T> previous_rows(Var<T>, Var<T>, const ScanSteps&);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)

}  // namespace unroll::inline UNROLL_ISA::detail
