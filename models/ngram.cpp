#include <unroll/models/ngram.h>

#include <algorithm>
#include <cmath>

namespace unroll::inline UNROLL_ISA {

namespace {

std::uint64_t key(std::uint32_t prefix, std::int32_t id) {
  return std::uint64_t{prefix} << 32 | static_cast<std::uint32_t>(id);
}

}  // namespace

NGram::NGram(int order, Index vocabulary_size, std::span<const std::int32_t> train)
    : order_(order), vocabulary_(vocabulary_size) {
  require<ValueError>(order >= 1 && order <= max_order, "ngram: order {} is not in 1 to {}", order, int{max_order});
  require<ValueError>(vocabulary_size >= 1 && vocabulary_size <= INT32_MAX, "ngram: a vocabulary of {} symbols",
                      vocabulary_size);
  require<ValueError>(!train.empty() && train.size() < none, "ngram: a training text of {} ids", train.size());
  for (const std::int32_t id : train) check(id);
  count(train);
  for (const std::uint32_t c : levels_[1].counts) unigrams_ += c;
  for (int length = 2; length <= order; ++length) {
    set_discounts(levels_[static_cast<std::size_t>(length)]);
    set_totals(length);
  }
}

void NGram::check(std::int32_t id) const {
  require<IndexError>(id >= 0 && id < vocabulary_, "ngram: id {} of {} symbols", id, vocabulary_);
}

void NGram::count(std::span<const std::int32_t> train) {
  levels_[1].counts.assign(static_cast<std::size_t>(vocabulary_), 0);
  Suffixes last{};
  for (std::size_t i = 0; i < train.size(); ++i) {
    const Suffixes before = last;
    const auto longest = std::min<std::size_t>(i + 1, static_cast<std::size_t>(order_));
    last[1] = static_cast<Node>(train[i]);
    for (std::size_t m = 2; m <= longest; ++m) {
      Level& level = levels_[m];
      const auto [place, is_new] =
          level.children.try_emplace(key(before[m - 1], train[i]), static_cast<Node>(level.counts.size()));
      last[m] = place->second;
      if (!is_new) continue;
      level.counts.push_back(0);
      ++levels_[m - 1].counts[last[m - 1]];  // one more id that stands before the shorter n-gram
    }
    if (longest == static_cast<std::size_t>(order_)) ++levels_[longest].counts[last[longest]];
  }
}

// Chen & Goodman 1999, sec. 3; where a small text lacks such counts, the fallback of KenLM.
void NGram::set_discounts(Level& level) const {
  std::array<double, 5> n{};  // n[c]: n-grams with count c
  for (const std::uint32_t c : level.counts)
    if (c >= 1 && c <= 4) ++n[c];
  level.discounts = {0, 0.5, 1, 1.5};
  if (n[1] == 0 || n[2] == 0 || n[3] == 0 || n[4] == 0) return;
  std::array<double, 4> discounts{};
  const double y = n[1] / (n[1] + 2 * n[2]);
  for (std::size_t c = 1; c <= 3; ++c) {
    const auto k = static_cast<double>(c);
    discounts[c] = k - (k + 1) * y * n[c + 1] / n[c];
    if (!(discounts[c] > 0 && discounts[c] <= k)) return;
  }
  level.discounts = discounts;
}

void NGram::set_totals(int length) {
  const Level& level = levels_[static_cast<std::size_t>(length)];
  Level& shorter = levels_[static_cast<std::size_t>(length - 1)];
  shorter.totals.assign(shorter.counts.size(), 0);
  shorter.reserved.assign(shorter.counts.size(), 0);
  for (const auto& [prefix_and_id, node] : level.children) {
    const std::uint32_t c = level.counts[node];
    shorter.totals[prefix_and_id >> 32] += c;
    shorter.reserved[prefix_and_id >> 32] += level.discounts[std::min<std::uint32_t>(c, 3)];
  }
}

NGram::Node NGram::child(int length, Node prefix, std::int32_t id) const {
  if (length == 1) return static_cast<Node>(id);
  if (prefix == none) return none;
  const auto& children = levels_[static_cast<std::size_t>(length)].children;
  const auto found = children.find(key(prefix, id));
  return found == children.end() ? none : found->second;
}

/// Probability of `id` after the n-grams of `suffixes`, which then end with it.
double NGram::advance(Suffixes& suffixes, std::int32_t id) const {
  check(id);
  const Suffixes before = suffixes;
  double p =
      (levels_[1].counts[static_cast<std::size_t>(id)] + 0.5) / (unigrams_ + 0.5 * static_cast<double>(vocabulary_));
  suffixes[1] = static_cast<Node>(id);
  for (int length = 2; length <= order_; ++length) {
    const auto m = static_cast<std::size_t>(length);
    const Node prefix = before[m - 1];
    suffixes[m] = child(length, prefix, id);
    if (prefix == none || levels_[m - 1].totals[prefix] == 0) continue;
    const std::uint32_t c = suffixes[m] == none ? 0 : levels_[m].counts[suffixes[m]];
    const double kept = c - levels_[m].discounts[std::min<std::uint32_t>(c, 3)];
    p = (kept + levels_[m - 1].reserved[prefix] * p) / levels_[m - 1].totals[prefix];
  }
  return p;
}

double NGram::probability(std::span<const std::int32_t> context, std::int32_t id) const {
  Suffixes suffixes;
  suffixes.fill(none);
  const auto used = std::min(context.size(), static_cast<std::size_t>(order_ - 1));
  for (const std::int32_t before : context.last(used)) {
    check(before);
    for (int length = order_; length > 0; --length)
      suffixes[static_cast<std::size_t>(length)] =
          child(length, suffixes[static_cast<std::size_t>(length - 1)], before);
  }
  return advance(suffixes, id);
}

double NGram::nats_per_token(std::span<const std::int32_t> held_out) const {
  require<ValueError>(!held_out.empty(), "ngram: the held-out text is empty");
  Suffixes suffixes;
  suffixes.fill(none);
  double nats = 0;
  for (const std::int32_t id : held_out) nats -= std::log(advance(suffixes, id));
  return nats / static_cast<double>(held_out.size());
}

}  // namespace unroll::inline UNROLL_ISA
