#include <unroll/autograd/ops/formula_kernels.h>

namespace unroll::inline UNROLL_ISA::detail {

namespace {

/// Zeroes what was claimed as fresh by one leaf and is added to by another that lies over it in another way: the first
/// to come would then not be the one that overwrites.
template <Real T>
void zero_shared(Tape<T>& tape, const Shape& shape, std::span<const std::uint32_t> leaves, std::span<Walk<T>> walks) {
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const Node<T>& n = tape.node(leaves[i]);
    for (std::size_t k = 0; walks[i].fresh && k < leaves.size(); ++k) {
      const Node<T>& other = tape.node(leaves[k]);
      if (walks[k].fresh || walks[k].grad == nullptr || !tape.share_memory(leaves[i], leaves[k])) continue;
      if (walks[k].grad == walks[i].grad && other.stride == n.stride && other.shape == shape) continue;
      walks[i].fresh = false;
      for (Index r = 0; r < shape.rows(); ++r) std::fill_n(walks[i].grad + r * n.stride, shape.cols(), T(0));
    }
  }
}

}  // namespace

template <Real T>
Rows lay_out(Tape<T>& tape, const Shape& shape, std::span<const std::uint32_t> leaves, std::span<Walk<T>> walks,
             LeafGradients gradients) {
  bool flat = true, any_fresh = false;
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const std::uint32_t index = leaves[i];
    const Node<T>& n = tape.node(index);
    walks[i].value = n.value;
    walks[i].grad = nullptr;
    walks[i].is_vector = true;
    walks[i].fresh = false;
    const bool alike = n.shape == shape;
    flat = flat && alike && n.values().contiguous();
    if (gradients == LeafGradients::none || !tape.wanted(index)) continue;
    if (gradients == LeafGradients::added || !alike) {
      walks[i].grad = tape.gradient_data(index);
    } else {
      const auto [d, fresh] = tape.claim_gradient(index);
      walks[i].grad = d.data;
      walks[i].fresh = fresh;
      any_fresh = any_fresh || fresh;
    }
  }
  if (any_fresh) zero_shared<T>(tape, shape, leaves, walks);
  Rows rows;
  if (flat) {
    rows.cols = shape.size();
    for (Walk<T>& w : walks) {
      w.steps[0] = shape.cols();
      w.ahead = rows.ahead(shape.cols());
    }
    return rows;
  }
  rows.rows = shape.rows();
  rows.cols = shape.cols();
  rows.axes = std::max(0, shape.rank() - 1);
  for (int d = 0; d < rows.axes; ++d) rows.extents[static_cast<std::size_t>(d)] = shape[d];
  bool regular = true;  // every leaf is either still or moves evenly over all rows
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const Node<T>& n = tape.node(leaves[i]);
    walks[i].is_vector = n.shape.cols() == rows.cols;
    rows.vectors = rows.vectors && walks[i].is_vector;
    walks[i].steps.fill(0);
    Index step = n.stride;
    const int missing = shape.rank() - n.shape.rank();
    for (int d = n.shape.rank() - 2; d >= 0; --d) {
      if (n.shape[d] == shape[d + missing]) walks[i].steps[static_cast<std::size_t>(d + missing)] = step;
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
  for (Walk<T>& w : walks) w.ahead = rows.ahead(w.steps[static_cast<std::size_t>(std::max(rows.axes, 1) - 1)]);
  return rows;
}

template Rows lay_out(Tape<float>&, const Shape&, std::span<const std::uint32_t>, std::span<Walk<float>>,
                      LeafGradients);
template Rows lay_out(Tape<double>&, const Shape&, std::span<const std::uint32_t>, std::span<Walk<double>>,
                      LeafGradients);

}  // namespace unroll::inline UNROLL_ISA::detail
