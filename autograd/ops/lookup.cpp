#include <unroll/autograd/ops/lookup.h>
#include <unroll/autograd/ops/select_rows.h>

namespace unroll::inline UNROLL_ISA {

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
  const auto rows = tape.template room<Index>(static_cast<Index>(ids.size()));
  std::copy(ids.begin(), ids.end(), rows.begin());
  return record(ids_shape.inserted(-1, table.shape()[1]), detail::Lookup<T>{{leaf, rows}}, leaf);
}

template Var<float> lookup(Tape<float>&, const Parameter<float>&, std::span<const std::int32_t>, const Shape&);
template Var<double> lookup(Tape<double>&, const Parameter<double>&, std::span<const std::int32_t>, const Shape&);

}  // namespace unroll::inline UNROLL_ISA
