#include <unroll/autograd/ops/reduce.h>
#include <unroll/layers/place.h>
#include <unroll/layers/tree_lstm.h>

namespace unroll::inline UNROLL_ISA {
namespace {

/// Runs step(x of the level, states of the level below, level) from the deepest nodes to the roots.
template <Real T, class Layer, class Step>
TreeStates<T> climb(const Layer& layer, Var<T> xs, const Forest& forest, Step step) {
  Tape<T>& tape = xs.tape();
  detail::PlaceGuard<T> place(tape, detail::place_of_layer(layer));
  const Shape shape = xs.shape();
  tape.template require<ShapeError>(shape.rank() == 2 && shape[0] == forest.size(),
                                    "tree_lstm: inputs {} for a forest of {} nodes", shape, forest.size());
  const Index nodes = forest.size(), depth = forest.depth(), width = layer.width;
  const HiddenAndCell<T> none{tape.zeros({0, width}), tape.zeros({0, width})};
  if (nodes == 0) return {none, none};

  const auto order = tape.template room<Index>(nodes), rank = tape.template room<Index>(nodes);
  Index row = 0;
  for (Index level = depth; level-- > 0;)
    for (const Index node : forest.level(level)) {
      rank[static_cast<std::size_t>(node)] = row;
      order[static_cast<std::size_t>(row++)] = node;
    }
  const Var<T> projected = layer.input(gather_rows(xs, order, shape));
  const auto hidden = tape.template room<Var<T>>(depth), cells = tape.template room<Var<T>>(depth);
  HiddenAndCell<T> below = none;
  row = 0;
  for (Index level = depth, i = 0; level-- > 0; ++i) {
    place.step(level);
    const Index count = static_cast<Index>(forest.level(level).size());
    below = step(slice(projected, 0, row, row + count), below, level);
    row += count;
    hidden[static_cast<std::size_t>(i)] = below.h;
    cells[static_cast<std::size_t>(i)] = below.c;
  }
  const auto all = [&](std::span<Var<T>> levels) {
    return gather_rows(unroll::concat(std::span<const Var<T>>(levels), 0), rank, Shape{nodes, width});
  };
  return {{all(hidden), all(cells)}, below};
}

}  // namespace

template <Real T>
TreeStates<T> ChildSumTreeLSTM<T>::operator()(Var<T> xs, const Forest& forest) const {
  Tape<T>& tape = xs.tape();
  return climb<T>(*this, xs, forest, [&](Var<T> x, HiddenAndCell<T> below, Index level) -> HiddenAndCell<T> {
    const Index nodes = x.shape()[0], kids = below.h.shape()[0];
    const Var<T> gates = slice(x, -1, 0, 3 * width), own = slice(x, -1, 3 * width, 4 * width);
    if (kids == 0) {
      const auto [i, o, u] = split<3>(gates);
      const Var<T> c = sigmoid(i, "input") * tanh(u);
      return {sigmoid(o, "output") * tanh(c), c};
    }
    const std::span<const Index> parent = tape.keep(forest.above(level + 1));
    const auto [i, o, u] = split<3>(addmm(gates, segment_sum(below.h, parent, nodes), recurrent.weight));
    const Var<T> f =
        sigmoid(addmm(gather_rows(own, parent, Shape{kids, width}), below.h, this->forget.weight), "forget");
    const Var<T> c = sigmoid(i, "input") * tanh(u) + segment_sum(f * below.c, parent, nodes);
    return {sigmoid(o, "output") * tanh(c), c};
  });
}

template <Real T>
TreeStates<T> NaryTreeLSTM<T>::operator()(Var<T> xs, const Forest& forest) const {
  Tape<T>& tape = xs.tape();
  return climb<T>(*this, xs, forest, [&](Var<T> x, HiddenAndCell<T> below, Index level) -> HiddenAndCell<T> {
    const Index nodes = x.shape()[0], kids = below.h.shape()[0];
    const Var<T> gates = slice(x, -1, 0, 3 * width), own = slice(x, -1, 3 * width, 4 * width);
    if (kids == 0) {
      const auto [i, o, u] = split<3>(gates);
      const Var<T> c = sigmoid(i, "input") * tanh(u);
      return {sigmoid(o, "output") * tanh(c), c};
    }
    const auto slots = tape.template room<Index>(nodes * children);
    std::fill(slots.begin(), slots.end(), Index{-1});
    const std::span<const Index> parent = forest.above(level + 1);
    for (Index kid = 0, slot = 0; kid < kids; ++kid, ++slot) {
      const Index p = parent[static_cast<std::size_t>(kid)];
      if (kid == 0 || p != parent[static_cast<std::size_t>(kid - 1)]) slot = 0;
      tape.template require<ValueError>(slot < children, "tree_lstm: node {} has more than {} children",
                                        forest.level(level)[static_cast<std::size_t>(p)], children);
      slots[static_cast<std::size_t>(p * children + slot)] = kid;
    }
    const auto side_by_side = [&](Var<T> states) {
      return reshape(gather_rows(states, slots, Shape{nodes, children, width}), {nodes, children * width});
    };
    const Var<T> hs = side_by_side(below.h), cs = side_by_side(below.c);
    const Var<T> sums = matmul(hs, recurrent.weight);
    const auto [i, o, u] = split<3>(gates + slice(sums, -1, 0, 3 * width));
    Var<T> c = sigmoid(i, "input") * tanh(u);
    for (Index k = 0; k < children; ++k)
      c = c + sigmoid(own + slice(sums, -1, (3 + k) * width, (4 + k) * width), "forget") *
                  slice(cs, -1, k * width, (k + 1) * width);
    return {sigmoid(o, "output") * tanh(c), c};
  });
}

template struct ChildSumTreeLSTM<float>;
template struct ChildSumTreeLSTM<double>;
template struct NaryTreeLSTM<float>;
template struct NaryTreeLSTM<double>;

}  // namespace unroll::inline UNROLL_ISA
