#pragma once

#include <unroll/autograd/ops/record.h>

namespace unroll::inline UNROLL_ISA::detail {

/// Row i of the result is row rows[i] of x, or zero for -1.
template <Real T>
struct SelectRows {
  static constexpr bool kept_always = true, reads_result = false;
  Var<T> x;
  std::span<const Index> rows;

  void forward(Var<T> y) const { select(result(y)); }
  void backward(Var<T> y) const {
    if (wanted(x)) add_back(gradient(y));
  }
  void select(View<T> to) const;
  /// Adds row i of d to the gradient of row rows[i] of x.
  void add_back(View<const T> d) const;
};

template <Real T>
struct Lookup : SelectRows<T> {
  static constexpr const char* name = "lookup";
};

template <Real T>
struct GatherRows : SelectRows<T> {
  static constexpr const char* name = "gather_rows";
};

/// What several of these select, side by side.
template <Real T>
struct GatherRowsBeside {
  static constexpr const char* name = "gather_rows";
  static constexpr bool reads_result = false;
  std::span<const SelectRows<T>> parts;

  void forward(Var<T> y) const;
  void backward(Var<T> y) const;
};

/// The rows of a value of which many are the same row of another, the source, as symbols recur in a text: what is
/// computed from each row by itself need be computed once for each distinct one. Known for what `lookup` and
/// `gather_rows` returned, and for one of them on the other.
template <Real T>
class DistinctRows {
 public:
  /// Null unless at least every second row of x is the same as an earlier one. Lives until the tape is rewound.
  static const DistinctRows* of(Var<T> x);

  Index count() const { return static_cast<Index>(sources_.size()); }
  /// x, and what lies between it and the source: nothing is added to their gradients.
  std::span<const Var<T>> between() const { return between_; }
  bool source_wanted() const { return wanted(source_); }

  /// Distinct rows first, first + 1, ... into `to`.
  void gather(Index first, View<T> to) const;
  /// Rows computed from these to where each belongs in y.
  void spread(Index first, View<const T> from, View<T> y) const;
  /// The same, but each only says where it is.
  void point(Index first, View<const T> from, std::span<const T*> y) const;
  /// For each of these, the sum of the rows of dy that belong to it.
  void collect(Index first, View<const T> dy, View<T> to) const;
  /// Adds the gradient of these to that of the source.
  void add_to_source(Index first, View<const T> d) const;
  /// Adds the gradient of all rows of x to that of between()[k].
  void add_between(std::size_t k, View<const T> d) const;

 private:
  std::span<const Index> group(Index i) const;

  Var<T> source_;
  std::span<const Var<T>> between_;
  std::span<const Index> sources_;  // row of the source for each distinct row, -1 for zeros
  std::span<const Index> begins_;   // where the rows of x that equal each begin in order_
  std::span<const Index> order_;    // rows of x, by distinct row
};

extern template struct SelectRows<float>;
extern template struct SelectRows<double>;
extern template struct GatherRowsBeside<float>;
extern template struct GatherRowsBeside<double>;
extern template class DistinctRows<float>;
extern template class DistinctRows<double>;

}  // namespace unroll::inline UNROLL_ISA::detail
