#include <unroll/autograd/tape/tape.h>

namespace unroll::inline UNROLL_ISA {

template <Real T>
Shape Var<T>::shape() const {
  return tape().checked(*this, "shape").shape;
}

template <Real T>
View<const T> Var<T>::values() const {
  const Node<T>& n = tape().checked(*this, "value");
  tape().put_rows(n);
  return n.values();
}

template <Real T>
View<const T> Var<T>::gradients() const {
  Tape<T>& t = tape();
  const Node<T>& n = t.checked(*this, "grad");
  t.template require<TapeError>(n.grad != nullptr, "grad: no gradient is kept for this {} (enter it with variable())",
                                n.op->name);
  if (const Parameter<T>* parameter = t.parameter_of(index_)) {
    const Node<T>& leaf = t.nodes_[t.leaves_[n.leaf].node];
    return {parameter->grad().data() + (n.value - leaf.value), n.shape.rows(), n.shape.cols(), n.stride};
  }
  t.gradient_memory_.extend();
  t.settle(index_);
  return t.gradient_of(index_);
}

template <Real T>
T Var<T>::item() const {
  const Node<T>& n = tape().checked(*this, "item");
  tape().template require<ShapeError>(n.shape.size() == 1, "item: one element is needed, not {}", n.shape);
  tape().put_rows(n);
  return n.value[0];
}

template <Real T>
Var<T> Var<T>::operator[](Index t) const {
  const Node<T>& n = tape().checked(*this, "index");
  tape().template require<ShapeError>(n.shape.rank() > 0, "index: a scalar has no elements");
  const Index extent = n.shape[0];
  tape().template require<IndexError>(t >= -extent && t < extent, "index: {} is outside 0 .. {} of {}", t, extent - 1,
                                      n.shape);
  const Index at = t < 0 ? t + extent : t;
  const Shape rest = n.shape.without(0);
  const Index offset = n.shape.rank() == 1 ? at : at * rest.rows() * n.stride;
  return tape().alias("step", *this, rest, offset, n.stride);
}

template class Var<float>;
template class Var<double>;

}  // namespace unroll::inline UNROLL_ISA
