#pragma once

#include <cstdint>

#include <unroll/autograd/tensor/shape.h>

// How well a language model predicts, from its negative log probabilities in nats.

namespace unroll::inline UNROLL_ISA {

/// exp(nats): as if each symbol were drawn from so many equally likely ones; infinite above about 709 nats.
double perplexity(double nats_per_token);
/// nats / ln 2.
double bits_from_nats(double nats);

/// A sum of -log p over a text that comes in parts. The tokens are what the model predicts, the characters what they
/// spell: models of different tokens compare by bits per character.
class Likelihood {
 public:
  /// Adds -log p of `tokens` tokens together, which spell `characters` characters (count_characters of
  /// models/data/utf8.h), 0 if that is not asked. Throws ValueError for nats that are NaN or below 0 or for negative
  /// counts, and for nats without tokens.
  void add(double nats, Index tokens = 1, Index characters = 0);
  /// Adds another text, such as that of another worker.
  Likelihood& operator+=(const Likelihood& other);

  std::int64_t tokens() const { return tokens_; }
  std::int64_t characters() const { return characters_; }
  /// The sum, compensated for rounding (Neumaier 1974).
  double nats() const { return sum_ + lost_; }
  /// Throw ValueError when there are no tokens.
  double nats_per_token() const;
  double bits_per_token() const;
  double perplexity() const;
  /// Throws ValueError when no characters were given.
  double bits_per_character() const;

 private:
  void accumulate(double nats);

  double sum_ = 0, lost_ = 0;
  std::int64_t tokens_ = 0, characters_ = 0;
};

}  // namespace unroll::inline UNROLL_ISA
