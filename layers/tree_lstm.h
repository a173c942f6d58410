#pragma once

#include <unroll/layers/cell.h>
#include <unroll/layers/forest.h>

namespace unroll::inline UNROLL_ISA {

/// The states of all nodes of a forest, each [nodes, width], and those of its roots, each [roots, width].
template <Real T>
struct TreeStates {
  HiddenAndCell<T> nodes, roots;
};

/// A long short-term memory over trees whose nodes have any number of children, in no order (Tai, Socher and Manning
/// 2015, eqs. 2 to 8): of a node with the children k,
///   h~ = sum_k h_k
///   i, o = sigmoid(x W + b + h~ U)   input and output gates
///   u    = tanh   (x W + b + h~ U)   candidate
///   f_k  = sigmoid(x W + b + h_k U)  a forget gate for each child
///   c = i u + sum_k f_k c_k,   h = o tanh(c)
/// Gates lie side by side in the order i, o, u, f. All nodes as far from their roots are computed together.
template <Real T = float>
struct ChildSumTreeLSTM {
  using scalar = T;
  Index width;
  Linear<T> input;      // [in, 4 width]
  Matrix<T> recurrent;  // [width, 3 width], of i, o and u
  Matrix<T> forget;     // [width, width]

  ChildSumTreeLSTM(Index in, Index width, Rng& rng)
      : width(width),
        input(gate_inputs<T>(in, width, 4, rng, 3)),
        recurrent(init::orthogonal<T>({width, 3 * width}, rng, 3)),
        forget(width, width, rng) {}

  /// xs [nodes, in]. Throws ShapeError if there is not one row for each node.
  TreeStates<T> operator()(Var<T> xs, const Forest& forest) const;
  static void fields(auto& m, auto&& f) { f("input", m.input), f("recurrent", m.recurrent), f("forget", m.forget); }
};

/// A long short-term memory over trees whose nodes have at most N children, in order (Tai, Socher and Manning 2015,
/// eqs. 9 to 14): of a node with the children 1 .. N, where states of missing ones are zero,
///   i, o = sigmoid(x W + b + sum_l h_l U_l)   input and output gates
///   u    = tanh   (x W + b + sum_l h_l U_l)   candidate
///   f_k  = sigmoid(x W + b + sum_l h_l U_kl)  a forget gate for each child; W and b are those of all
///   c = i u + sum_k f_k c_k,   h = o tanh(c)
/// Gates lie side by side in the order i, o, u, f, or f_1 .. f_N. All nodes as far from their roots are computed
/// together.
template <Real T = float>
struct NaryTreeLSTM {
  using scalar = T;
  Index width, children;
  Linear<T> input;      // [in, 4 width]
  Matrix<T> recurrent;  // [N width, (3 + N) width]

  NaryTreeLSTM(Index in, Index width, Index children, Rng& rng)
      : width(width),
        children(children),
        input(gate_inputs<T>(in, width, 4, rng, 3)),
        recurrent(init::xavier<T>({children * width, (3 + children) * width}, rng, 3 + children)) {}

  /// xs [nodes, in]. Throws ShapeError if there is not one row for each node, ValueError naming a node of more than N
  /// children.
  TreeStates<T> operator()(Var<T> xs, const Forest& forest) const;
  static void fields(auto& m, auto&& f) { f("input", m.input), f("recurrent", m.recurrent); }
};

}  // namespace unroll::inline UNROLL_ISA
