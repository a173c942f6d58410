#include <unroll/autograd/ops/lookup.h>

namespace unroll::inline UNROLL_ISA {
namespace {

template <Real T>
struct Lookup {
  static constexpr const char* name = "lookup";
  Var<T> table;
  std::span<const std::int32_t> ids;

  void forward(Var<T> y) const {
    const View<const T> from = values(table);
    const View<T> out = result(y);
    for (Index r = 0; r < out.rows; ++r) {
      const Index id = ids[static_cast<std::size_t>(r)];
      if (id < 0)
        std::fill_n(out.row(r), out.cols, T(0));
      else
        std::copy_n(from.row(id), out.cols, out.row(r));
    }
  }
  void backward(Var<T> y) const {
    if (!wanted(table)) return;
    Gradient<T>& sink = *y.tape().sink_of(table.index());
    const View<const T> dy = gradient(y);
    for (Index r = 0; r < dy.rows; ++r)
      if (const Index id = ids[static_cast<std::size_t>(r)]; id >= 0)
        simd::add_scaled(T(1), dy.row(r), sink.row(id), dy.cols);
  }
};

}  // namespace

template <Real T>
Var<T> lookup(Tape<T>& tape, const Parameter<T>& table, std::span<const std::int32_t> ids, const Shape& ids_shape) {
  const Var<T> leaf = tape.use(table);
  const std::array<Var<T>, 1> inputs{leaf};
  const auto check = [&]<class E>(bool ok, const auto& message, std::type_identity<E>) {
    if (!ok) [[unlikely]]
      throw E(tape.located(message(), inputs));
  };
  check(
      table.shape().rank() == 2,
      [&] { return fmt::format("lookup: a table [entries, width] is needed, not {}", table.shape()); },
      std::type_identity<ShapeError>{});
  check(
      static_cast<Index>(ids.size()) == ids_shape.size(),
      [&] { return fmt::format("lookup: {} ids for the shape {}", ids.size(), ids_shape); },
      std::type_identity<ShapeError>{});
  for (const std::int32_t id : ids)
    check(
        id >= -1 && id < table.shape()[0],
        [&] { return fmt::format("lookup: id {} is outside a table of {} entries", id, table.shape()[0]); },
        std::type_identity<IndexError>{});
  return record(ids_shape.inserted(-1, table.shape()[1]), Lookup<T>{leaf, tape.keep(ids)}, leaf);
}

template Var<float> lookup(Tape<float>&, const Parameter<float>&, std::span<const std::int32_t>, const Shape&);
template Var<double> lookup(Tape<double>&, const Parameter<double>&, std::span<const std::int32_t>, const Shape&);

}  // namespace unroll::inline UNROLL_ISA
