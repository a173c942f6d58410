#include <unroll/autograd/ops/formula.h>

namespace unroll::inline UNROLL_ISA::detail {

template <Real T>
Rows lay_out(Tape<T>& tape, const Shape& shape, std::span<const Var<T>> leaves, std::span<Walk<T>> walks,
             bool with_gradients) {
  bool flat = true;
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const std::uint32_t index = leaves[i].index();
    const Node<T>& n = tape.node(index);
    walks[i].value = n.value;
    walks[i].grad = with_gradients && tape.wanted(index) ? tape.gradient_of(index).data : nullptr;
    walks[i].is_vector = true;
    flat = flat && n.shape == shape && n.values().contiguous();
  }
  Rows rows;
  if (flat) {
    rows.cols = shape.size();
    for (Walk<T>& w : walks) w.steps[0] = shape.cols();
    return rows;
  }
  rows.rows = shape.rows();
  rows.cols = shape.cols();
  rows.axes = std::max(0, shape.rank() - 1);
  for (int d = 0; d < rows.axes; ++d) rows.extents[static_cast<std::size_t>(d)] = shape[d];
  bool regular = true;  // every leaf is either still or moves evenly over all rows
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const Node<T>& n = tape.node(leaves[i].index());
    walks[i].is_vector = n.shape.cols() == rows.cols;
    rows.vectors = rows.vectors && walks[i].is_vector;
    walks[i].steps.fill(0);
    Index step = n.stride;
    const int missing = shape.rank() - n.shape.rank();
    for (int d = n.shape.rank() - 2; d >= 0; --d) {
      if (n.shape[d] != 1) walks[i].steps[static_cast<std::size_t>(d + missing)] = step;
      step *= n.shape[d];
    }
    for (int d = 0; d + 1 < rows.axes; ++d) {
      const auto at = static_cast<std::size_t>(d);
      regular = regular && walks[i].steps[at] == walks[i].steps[at + 1] * rows.extents[at + 1];
    }
  }
  if (regular && rows.axes > 1) {
    for (Walk<T>& w : walks) w.steps[0] = w.steps[static_cast<std::size_t>(rows.axes - 1)];
    rows.extents[0] = rows.rows;
    rows.axes = 1;
  }
  return rows;
}

template Rows lay_out(Tape<float>&, const Shape&, std::span<const Var<float>>, std::span<Walk<float>>, bool);
template Rows lay_out(Tape<double>&, const Shape&, std::span<const Var<double>>, std::span<Walk<double>>, bool);

}  // namespace unroll::inline UNROLL_ISA::detail
