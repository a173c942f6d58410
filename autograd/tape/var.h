#pragma once

#include <cstdint>

#include <unroll/autograd/tensor/tensor.h>

namespace unroll::inline UNROLL_ISA {

template <Real T = float>
class Tape;

namespace detail {
struct FormulaBase {};
}  // namespace detail

/// A lazy element-wise expression.
template <class E>
concept Formula = std::derived_from<E, detail::FormulaBase>;

/// A handle to a value on a tape: {tape, index, epoch}. Copy it freely; it must not outlive its tape, and
/// using it after the tape was rewound throws TapeError.
template <Real T = float>
class Var {
 public:
  using scalar = T;

  Var() = default;
  /// Computes a formula now, once, as one node.
  template <Formula E>
    requires std::same_as<typename E::scalar, T>
  Var(const E& formula) : Var(formula.record()) {}
  /// For the tape.
  Var(Tape<T>* tape, std::uint32_t index, std::uint32_t epoch) : tape_(tape), index_(index), epoch_(epoch) {}

  Shape shape() const;
  /// The value as an xtensor adaptor over the tape's memory, valid until the tape is rewound.
  auto value() const { return view_as_array<const T>(values()); }
  /// The gradient that the last backward left here, likewise; zeros where nothing arrived. Throws
  /// TapeError on a value that wants none.
  auto grad() const { return view_as_array<const T>(gradients()); }
  /// The only element; throws ShapeError if there are more.
  T item() const;
  /// Element or sub-array `t` of the first axis, without a copy: of a sequence, the time step.
  Var operator[](Index t) const;

  Tape<T>& tape() const;
  std::uint32_t index() const { return index_; }
  std::uint32_t epoch() const { return epoch_; }
  bool empty() const { return tape_ == nullptr; }

 private:
  template <class U>
  auto view_as_array(View<const T> v) const {
    return adapt<U>(v.data, shape(), v.stride);
  }
  View<const T> values() const;
  View<const T> gradients() const;

  friend class Tape<T>;
  Tape<T>* tape_ = nullptr;
  std::uint32_t index_ = 0, epoch_ = 0;
};

template <Formula E>
Var(const E&) -> Var<typename E::scalar>;

}  // namespace unroll::inline UNROLL_ISA
