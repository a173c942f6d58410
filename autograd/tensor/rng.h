#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <utility>

#include <unroll/autograd/tensor/tensor.h>

namespace unroll::inline UNROLL_ISA {

/// Counter-based random numbers: a seed and a position give the number, so a position can be kept, stored
/// and drawn from again. The mixing function is that of SplitMix64 (Steele, Lea and Flood 2014, fig. 15).
class Rng {
 public:
  explicit Rng(std::uint64_t seed = 0, std::uint64_t position = 0) : seed_(seed), position_(position) {}

  static std::uint64_t bits(std::uint64_t seed, std::uint64_t position) {
    return mix(mix(seed) + (position + 1) * 0x9E3779B97F4A7C15ULL);
  }
  /// Uniform in [0, 1).
  static double uniform(std::uint64_t seed, std::uint64_t position) {
    return static_cast<double>(bits(seed, position) >> 11) * 0x1p-53;
  }
  /// Standard normal (Box and Muller 1958).
  static double normal(std::uint64_t seed, std::uint64_t position) {
    const std::uint64_t b = bits(seed, position);
    const double u = (static_cast<double>(b >> 32) + 0.5) * 0x1p-32;
    const double v = static_cast<double>(b & 0xFFFFFFFFULL) * 0x1p-32;
    return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
  }

  std::uint64_t next() { return bits(seed_, position_++); }
  double uniform() { return uniform(seed_, position_++); }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  double normal() { return normal(seed_, position_++); }
  /// Uniform in 0 .. n-1.
  Index below(Index n) { return static_cast<Index>(uniform() * static_cast<double>(n)); }

  std::uint64_t seed() const { return seed_; }
  std::uint64_t position() const { return position_; }
  /// Reserves `count` numbers and returns the position of the first.
  std::uint64_t advance(std::uint64_t count) {
    const std::uint64_t first = position_;
    position_ += count;
    return first;
  }
  void seek(std::uint64_t position) { position_ = position; }

 private:
  static std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }
  std::uint64_t seed_, position_;
};

/// Puts items in an order drawn at random, all orders being equally likely (Durstenfeld 1964).
template <class Items>
void shuffle(Items& items, Rng& rng) {
  for (std::size_t i = items.size(); i > 1; --i)
    std::swap(items[i - 1], items[static_cast<std::size_t>(rng.below(static_cast<Index>(i)))]);
}

}  // namespace unroll::inline UNROLL_ISA
