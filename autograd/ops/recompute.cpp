#include <unroll/autograd/ops/recompute.h>

#include <cstring>

namespace unroll::inline UNROLL_ISA::detail {

template <Real T>
std::span<const Var<T>> record_results(Tape<T>& tape, std::span<const Var<T>> inputs, std::span<const Var<T>> ranges,
                                       const typename Tape<T>::Slab* slab, Index offset) {
  static constexpr Op<T> op{"recomputed", nullptr, nullptr};
  const auto results = tape.template room<Var<T>>(static_cast<Index>(ranges.size()));
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const View<const T> from = values(ranges[i]);
    const Shape shape = ranges[i].shape();
    if (slab != nullptr && i == 0) tape.await(*slab, offset, shape, 0);
    results[i] = tape.append(op, shape, inputs);
    std::copy_n(from.data, from.size(), tape.writable(results[i].index()).data);
  }
  return results;
}

template <Real T>
void backward_again(Tape<T>& tape, Tape<T>& inner, std::span<const Var<T>> ranges, std::span<const Var<T>> results) {
  std::vector<View<const T>> seeds;
  bool same = ranges.size() == results.size();
  for (std::size_t i = 0; same && i < ranges.size(); ++i) {
    const View<const T> now = values(ranges[i]), then = values(results[i]);
    same = ranges[i].shape() == results[i].shape() &&
           std::memcmp(now.data, then.data, static_cast<std::size_t>(now.size()) * sizeof(T)) == 0;
    if (same) seeds.push_back(tape.gradient_of(results[i].index()));
  }
  tape.template require<TapeError>(
      same,
      "checkpoint: computed again, the values are others than at first: does the function or its cell keep "
      "state of its own{}{}?",
      results.empty() ? "" : " ", results.empty() ? "" : tape.place_of(results[0].index()));
  inner.backward_within(tape, ranges, seeds);
}

#define UNROLL_INSTANTIATE(T)                                                                                 \
  template std::span<const Var<T>> record_results(Tape<T>&, std::span<const Var<T>>, std::span<const Var<T>>, \
                                                  const Tape<T>::Slab*, Index);                               \
  template void backward_again(Tape<T>&, Tape<T>&, std::span<const Var<T>>, std::span<const Var<T>>);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)

}  // namespace unroll::inline UNROLL_ISA::detail
