#pragma once

#include <memory>
#include <type_traits>

#include <unroll/autograd/tensor/tensor.h>

namespace unroll::inline UNROLL_ISA {

enum class Trans : bool { no, yes };

constexpr Trans turned(Trans t) { return t == Trans::no ? Trans::yes : Trans::no; }

/// A matrix whose rows lie anywhere.
template <Real T>
struct RowList {
  const T* const* at;
  Index rows, cols;

  const T* row(Index r) const { return at[r]; }
};

/// What a product is added to: nothing (false), what is in C (true), or rows that lie elsewhere, from a column of
/// theirs on.
template <Real T>
struct Addend {
  bool any;
  const T* const* rows = nullptr;
  Index column = 0;

  Addend(bool accumulate) : any(accumulate) {}
  Addend(const T* const* rows, Index column) : any(true), rows(rows), column(column) {}
};

/// C = op(A) op(B) + addend + the row `bias` if there is one, where op transposes on request. C must not overlap A or
/// B. A row of C is the same to the bit however many rows there are.
template <Real T>
void gemm(Trans ta, View<const T> a, Trans tb, View<const T> b, View<T> c, std::type_identity_t<Addend<T>> addend,
          const T* bias = nullptr);

/// The right operand of products, op(B), in the order the kernel reads it: worth making for what several products
/// share.
template <Real T>
class Packed {
 public:
  /// Takes the values of op(b); memory is kept from one call to the next.
  void assign(Trans tb, View<const T> b);

  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  const T* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(T* memory) const;
  };
  Index rows_ = 0, cols_ = 0, capacity_ = 0;
  std::unique_ptr<T[], Free> data_;
};

/// The same product with a right operand that was packed before.
template <Real T>
void gemm(Trans ta, View<const T> a, const Packed<T>& b, View<T> c, std::type_identity_t<Addend<T>> addend,
          const T* bias = nullptr);

/// The same product by three loops: what the others are checked against.
template <Real T>
void gemm_naive(Trans ta, View<const T> a, Trans tb, View<const T> b, View<T> c, bool accumulate);

extern template class Packed<float>;
extern template class Packed<double>;

}  // namespace unroll::inline UNROLL_ISA
