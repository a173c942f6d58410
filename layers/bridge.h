#pragma once

#include <unroll/layers/cell.h>
#include <unroll/layers/linear.h>

namespace unroll::inline UNROLL_ISA {

/// From what an encoder knows at its end to where a decoder's cell begins: each array that the cell remembers by is
/// tanh([all arrays of the encoder's last state] W + b) (Bahdanau, Cho and Bengio 2015, appendix A.2.2, where the state
/// is that of the backward direction alone). Encoders of any number of layers and directions, cells of any state.
template <class C>
struct Bridge {
  using T = cell_scalar_t<C>;
  using scalar = T;

  std::vector<Linear<T>> maps;  // one for each array

  template <class L>
  Bridge(const L& encoder, const C& cell, Rng& rng) {
    Tape<T> tape = Tape<T>::inference();
    Index in = 0;
    const auto last = encoder.initial(tape, 1);
    for_each_var(last, [&](const Var<T>& v) { in += v.shape().cols(); });
    const auto state = cell.initial(tape, 1);
    int k = 0;
    for_each_var(state, [&](const Var<T>& v) {
      if (k++ >= memories(state)) return;
      const Index out = v.shape().cols();
      maps.emplace_back(init::xavier<T>({in, out}, rng), make_tensor<T>({out}, T(0)));
    });
  }

  /// `last` is the last state of the encoder, `cell` the decoder's.
  template <class S>
  typename C::State operator()(const S& last, const C& cell) const {
    std::vector<Var<T>> parts;
    for_each_var(last, [&](const Var<T>& v) { parts.push_back(v); });
    require<ValueError>(!parts.empty(), "bridge: the encoder has no state");
    const Var<T> all = parts.size() == 1 ? parts[0] : concat(std::span<const Var<T>>(parts), -1);
    std::size_t k = 0;
    return map_vars(cell.initial(all.tape(), all.shape()[0]),
                    [&](Var<T> v) { return k < maps.size() ? Var<T>(tanh(maps[k++](all))) : v; });
  }
  static void fields(auto& m, auto&& f) { f("maps", m.maps); }
};

}  // namespace unroll::inline UNROLL_ISA
