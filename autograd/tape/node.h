#pragma once

#include <cstdint>
#include <string>

#include <unroll/autograd/tape/var.h>

namespace unroll::inline UNROLL_ISA {

/// What the tape knows about a kind of node.
template <Real T>
struct Op {
  const char* name;
  /// Adds to the gradients of the inputs; null when there is nothing to do (leaves, views).
  void (*backward)(const void* rule, Var<T> y);
  /// Says what was computed, for dumps; null: the name.
  std::string (*describe)();
  /// Called in backward even if no gradient arrived: the rule has results that are nodes of their own.
  bool eager = false;
  /// Whether backward may read the result; if not, its memory can be taken over.
  bool reads_result = true;
};

/// One recorded value, two cache lines. Views share the memory of what they look at.
template <Real T>
struct alignas(64) Node {
  T* value = nullptr;
  T* grad = nullptr;  // null when no gradient is wanted
  Index stride = 0;   // elements between the starts of two rows
  Shape shape;
  const Op<T>* op = nullptr;
  const void* rule = nullptr;
  const std::uint32_t* inputs = nullptr;
  std::uint32_t input_count = 0;
  std::uint32_t block = 0;       // allocation that holds the gradient
  std::uint32_t leaf = 0;        // 1 + index of the parameter leaf, or 0
  std::uint32_t slice : 30 = 0;  // 1 + index of the slice it looks at, or 0
  std::uint32_t over : 1 = 0;    // a result in the place of a consumed slice, or a view of one
  std::uint32_t zero : 1 = 0;    // a constant whose elements are all 0, or a view of one

  View<const T> values() const { return {value, shape.rows(), shape.cols(), stride}; }
};
static_assert(sizeof(Node<double>) == 128);

/// The first value that is not finite, in the order of computation.
struct NonFinite {
  std::uint32_t node;
  std::string op, place;
  Shape shape;
  Index element;
  std::string message() const;
};

}  // namespace unroll::inline UNROLL_ISA
