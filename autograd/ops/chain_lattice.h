#pragma once

#include <unroll/autograd/ops/scan.h>

// Sums over all paths of a batch of linear chains: the kernels behind chain.h. Rows of labels are kept padded to whole
// registers.

namespace unroll::inline UNROLL_ISA {
namespace detail {

/// Gives out pieces of one block of memory.
class Pieces {
 public:
  explicit Pieces(std::span<std::byte> memory) : at_(memory.data()) {}
  template <class U>
  U* take(Index count) {
    return reinterpret_cast<U*>(std::exchange(at_, at_ + bytes<U>(count)));
  }
  template <class U>
  static Index bytes(Index count) {
    return (count * static_cast<Index>(sizeof(U)) + 63) / 64 * 64;
  }

 private:
  std::byte* at_;
};

/// The scores of a batch of chains. That of a path y of a row is
///   start(y_0) + sum_t emission_t(y_t) + sum_t transition(y_t-1, y_t) + end(y_last).
template <Real T>
struct ChainScores {
  View<const T> emissions;    // [rows, labels], step by step
  View<const T> transitions;  // [from, to]
  const T *start, *end;       // [labels]
  ScanSteps steps;

  Index labels() const { return transitions.cols; }
  Index stride() const { return (labels() + lanes<T> - 1) / lanes<T> * lanes<T>; }
  Index rows() const { return emissions.rows; }
  Index batch() const { return steps.count() == 0 ? 0 : steps.alive[0]; }
  Index alive(Index t) const { return t < steps.count() ? steps.alive[static_cast<std::size_t>(t)] : 0; }
  /// Where row i of step t lies.
  Index at(Index t, Index i) const { return steps.offsets[static_cast<std::size_t>(t)] + i; }
};

/// alpha [rows, stride], the logarithm of the sum over all beginnings of a path up to a label, less a number for each
/// row and step; log_z [batch], the logarithm of the sum over all paths.
template <Real T>
void chain_forward(const ChainScores<T>& scores, T* alpha, double* log_z, Pieces memory);
template <Real T>
Index chain_forward_bytes(const ChainScores<T>& scores);

template <Real T>
struct ChainExpectations {
  T* marginals;  // [rows, stride] the probability of each label at each step
  T* beta;       // [rows, stride] as alpha, over all ends of a path behind a label
  T* counts;  // [labels, stride] the expected number of each transition in all rows, each row times its seed; or null
};

/// The expectations under the distribution whose alpha was computed. No seeds: 1 for each row.
template <Real T>
void chain_backward(const ChainScores<T>& scores, const T* alpha, const T* seeds, const ChainExpectations<T>& to,
                    Pieces memory);
template <Real T>
Index chain_backward_bytes(const ChainScores<T>& scores);

/// What a path costs: the sum of a value for each label it has at a step, or, without such values, -log p(path).
template <Real T>
struct ChainCost {
  View<const T> values;  // [rows, labels]

  bool surprise() const { return values.data == nullptr; }
};

/// The covariance, over the paths, of their cost with what they are made of.
template <Real T>
struct ChainCovariance {
  T* labels;  // [rows, stride] with each label at each step
  T* counts;  // [labels, stride] with the number of each transition, each row times its seed
};

/// future [rows, stride]: the expected cost of all that comes after a label, given that.
template <Real T>
void chain_future(const ChainScores<T>& scores, const T* beta, const ChainCost<T>& cost, T* future, Pieces memory);
template <Real T>
void chain_covariance(const ChainScores<T>& scores, const ChainExpectations<T>& of, const ChainCost<T>& cost,
                      const T* future, const T* seeds, const ChainCovariance<T>& to, Pieces memory);
template <Real T>
Index chain_covariance_bytes(const ChainScores<T>& scores);

/// x, padded with `filling`.
template <Real T>
void pad_row(const T* x, Index n, T* to, Index stride, T filling) {
  std::copy_n(x, n, to);
  std::fill(to + n, to + stride, filling);
}

/// The largest of whole registers of elements, or 0 if all are -infinity: what to subtract before exponentials.
template <Real T>
T shift_of(const T* x, Index stride) {
  Batch<T> largest = Batch<T>::load_unaligned(x);
  for (Index c = lanes<T>; c < stride; c += lanes<T>) largest = math::max(largest, Batch<T>::load_unaligned(x + c));
  std::array<T, static_cast<std::size_t>(lanes<T>)> each;
  largest.store_unaligned(each.data());
  for (std::size_t n = each.size() / 2; n > 0; n /= 2)
    for (std::size_t i = 0; i < n; ++i) each[i] = math::max(each[i], each[i + n]);
  return each[0] == -std::numeric_limits<T>::infinity() ? T(0) : each[0];
}

}  // namespace detail
}  // namespace unroll::inline UNROLL_ISA
