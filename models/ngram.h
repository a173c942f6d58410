#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

namespace unroll::inline UNROLL_ISA {

/// An n-gram model with modified Kneser-Ney smoothing, interpolated (Chen & Goodman 1999, sec. 3):
/// the baseline that a recurrent model of the same text has to beat.
///
/// For a context h of n - 1 ids, h' without its first and c the count of what follows:
///   p(w | h) = (max(0, c(h w) - D(c(h w))) + reserved(h) p(w | h')) / sum_v c(h v),
///   reserved(h) = sum_v D(c(h v)),
/// with three discounts D(1), D(2), D(3+) an order, estimated from the counts of counts. Below the
/// highest order c counts the different ids before h w instead of its occurrences. The shortest is
/// p(w) = (c(w) + 1/2) / (sum + V/2), which is never zero. An n-gram takes about 50 bytes.
class NGram {
 public:
  static constexpr int max_order = 5;

  /// Counts the n-grams of up to `order` ids in `train`. Throws ValueError unless 1 <= order <=
  /// max_order, there is a vocabulary and `train` has 1 to 2^32 - 1 ids, and IndexError for an id
  /// outside of the vocabulary.
  NGram(int order, Index vocabulary_size, std::span<const std::int32_t> train);

  int order() const { return order_; }
  Index vocabulary() const { return vocabulary_; }
  /// Probability that `id` follows `context`, of which the last order - 1 ids count. Sums to 1 over
  /// all ids.
  double probability(std::span<const std::int32_t> context, std::int32_t id) const;
  /// Mean of -log p of each id given those before it; the first ones have shorter contexts. Throws
  /// ValueError for an empty text.
  double nats_per_token(std::span<const std::int32_t> held_out) const;

 private:
  using Node = std::uint32_t;
  static constexpr Node none = UINT32_MAX;
  /// The node of the last m ids at [m], `none` where they were never seen.
  using Suffixes = std::array<Node, max_order + 1>;

  /// All n-grams of one length.
  struct Level {
    std::unordered_map<std::uint64_t, Node> children;  // (node of the prefix, last id); unused for single ids
    std::vector<std::uint32_t> counts;
    std::array<double, 4> discounts{};  // by count, the last for 3 and more
    std::vector<double> totals;         // of the counts of the n-grams that start with this one
    std::vector<double> reserved;       // of their discounts
  };

  void count(std::span<const std::int32_t> train);
  void set_discounts(Level& level) const;
  void set_totals(int length);
  Node child(int length, Node prefix, std::int32_t id) const;
  double advance(Suffixes& suffixes, std::int32_t id) const;
  void check(std::int32_t id) const;

  int order_;
  Index vocabulary_;
  std::array<Level, max_order + 1> levels_;  // by length of the n-gram
  double unigrams_ = 0;                      // sum of the counts of single ids
};

}  // namespace unroll::inline UNROLL_ISA
