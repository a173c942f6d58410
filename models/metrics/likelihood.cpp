#include <unroll/models/metrics/likelihood.h>

#include <cmath>
#include <numbers>

namespace unroll::inline UNROLL_ISA {

double perplexity(double nats_per_token) { return std::exp(nats_per_token); }

double bits_from_nats(double nats) { return nats / std::numbers::ln2; }

void Likelihood::accumulate(double nats) {
  const double sum = sum_ + nats;
  // What is infinite has lost nothing.
  if (std::isfinite(sum)) lost_ += std::abs(sum_) >= std::abs(nats) ? (sum_ - sum) + nats : (nats - sum) + sum_;
  sum_ = sum;
}

void Likelihood::add(double nats, Index tokens, Index characters) {
  require<ValueError>(nats >= 0, "likelihood: {} nats; a negative log probability is not below 0", nats);
  require<ValueError>(tokens >= 0 && characters >= 0, "likelihood: {} tokens and {} characters", tokens, characters);
  require<ValueError>(tokens > 0 || nats == 0, "likelihood: {} nats of no tokens", nats);
  accumulate(nats);
  tokens_ += tokens;
  characters_ += characters;
}

Likelihood& Likelihood::operator+=(const Likelihood& other) {
  const double lost = other.lost_;
  accumulate(other.sum_);
  lost_ += lost;
  tokens_ += other.tokens_;
  characters_ += other.characters_;
  return *this;
}

double Likelihood::nats_per_token() const {
  require<ValueError>(tokens_ > 0, "likelihood: there are no tokens");
  return nats() / static_cast<double>(tokens_);
}

double Likelihood::bits_per_token() const { return bits_from_nats(nats_per_token()); }

double Likelihood::perplexity() const { return unroll::perplexity(nats_per_token()); }

double Likelihood::bits_per_character() const {
  require<ValueError>(characters_ > 0, "likelihood: there are no characters");
  return bits_from_nats(nats()) / static_cast<double>(characters_);
}

}  // namespace unroll::inline UNROLL_ISA
