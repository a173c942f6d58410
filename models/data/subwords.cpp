#include <unroll/models/data/subwords.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <queue>
#include <tuple>

#include <unroll/models/data/parallel_text.h>
#include <unroll/models/data/utf8.h>

namespace unroll::inline UNROLL_ISA {
namespace {

constexpr const char* end_name = "</s>";

using PairKey = std::uint64_t;
PairKey pair_of(std::int32_t left, std::int32_t right) {
  return static_cast<PairKey>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
}
std::int32_t left_of(PairKey key) { return static_cast<std::int32_t>(key >> 32); }
std::int32_t right_of(PairKey key) { return static_cast<std::int32_t>(key & 0xFFFFFFFFU); }

/// Tokens as they are written so far, and how often each pair of neighbours occurs in them.
class PairCounts {
 public:
  struct Word {
    std::vector<std::int32_t> symbols;
    Index count;
  };

  explicit PairCounts(std::vector<Word> words) : words_(std::move(words)) {
    for (std::size_t w = 0; w < words_.size(); ++w) count_pairs(w, 1);
  }
  /// The most frequent pair, if it occurs twice.
  std::optional<PairKey> best() {
    while (!queue_.empty()) {
      const auto [count, negative] = queue_.top();
      const PairKey pair = ~negative;
      if (counts_[pair] == count) return count >= 2 ? std::optional(pair) : std::nullopt;
      queue_.pop();  // it was counted again since
    }
    return std::nullopt;
  }
  /// The pair becomes a symbol wherever it occurs.
  void join(PairKey pair, std::int32_t symbol) {
    std::vector<std::size_t> where = std::move(where_[pair]);
    where_.erase(pair);
    std::ranges::sort(where);
    where.erase(std::unique(where.begin(), where.end()), where.end());
    for (const std::size_t w : where) {
      count_pairs(w, -1);
      auto& symbols = words_[w].symbols;
      std::size_t to = 0;
      for (std::size_t i = 0; i < symbols.size(); ++to) {
        const bool here = i + 1 < symbols.size() && symbols[i] == left_of(pair) && symbols[i + 1] == right_of(pair);
        symbols[to] = here ? symbol : symbols[i];
        i += here ? 2 : 1;
      }
      symbols.resize(to);
      count_pairs(w, 1);
    }
  }

 private:
  void count_pairs(std::size_t w, Index sign) {
    const auto& [symbols, count] = words_[w];
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      if (symbols[i] == Subwords::unknown || symbols[i + 1] == Subwords::unknown) continue;
      const PairKey pair = pair_of(symbols[i], symbols[i + 1]);
      Index& total = counts_[pair];
      total += sign * count;
      if (sign > 0) where_[pair].push_back(w);
      queue_.emplace(total, ~pair);
    }
  }

  std::vector<Word> words_;
  std::unordered_map<PairKey, Index> counts_;
  std::unordered_map<PairKey, std::vector<std::size_t>> where_;  // words it occurs in, or did
  std::priority_queue<std::pair<Index, PairKey>> queue_;         // counts, some of them old, and inverted pairs
};

std::vector<std::string> with_special(const SymbolTable& table) {
  std::vector<std::string> names{std::string(SymbolTable::unknown), end_name};
  for (const std::string& name : table.names())
    if (name != names[0] && name != names[1]) names.push_back(name);
  return names;
}

}  // namespace

Subwords Subwords::learn(const SymbolCounts& tokens, Index merges) {
  SymbolCounts characters;
  for (const auto& [token, count] : tokens)
    for (const std::string_view c : split_characters(token)) characters[std::string(c)] += count;
  std::erase_if(characters, [](const auto& c) { return c.second < 2; });
  Subwords learnt;
  std::vector<std::string> names = with_special(SymbolTable::labels(characters));
  std::unordered_map<std::string, std::int32_t> ids;
  for (std::size_t i = 2; i < names.size(); ++i) ids[names[i]] = static_cast<std::int32_t>(i);
  std::vector<PairCounts::Word> words;
  for (const auto& [token, count] : tokens) {
    words.push_back({{}, count});
    for (const std::string_view c : split_characters(token)) {
      const auto found = ids.find(std::string(c));
      words.back().symbols.push_back(found == ids.end() ? unknown : found->second);
    }
  }
  PairCounts pairs(std::move(words));
  std::vector<PairKey> order;
  while (static_cast<Index>(order.size()) < merges) {
    const auto pair = pairs.best();
    if (!pair) break;
    std::string name = names[static_cast<std::size_t>(left_of(*pair))];
    name += names[static_cast<std::size_t>(right_of(*pair))];
    // Different pairs may have the same text.
    const auto [at, is_new] = ids.emplace(name, static_cast<std::int32_t>(names.size()));
    if (is_new) names.push_back(std::move(name));
    pairs.join(*pair, at->second);
    order.push_back(*pair);
  }
  learnt.symbols_ = SymbolTable(std::move(names));
  learnt.add_merges(order);
  return learnt;
}

Subwords Subwords::words(const SymbolCounts& tokens, Index least, Index limit) {
  Subwords all;
  all.whole_words_ = true;
  all.symbols_ = SymbolTable(with_special(SymbolTable::words(tokens, least, limit)));
  return all;
}

void Subwords::add_merges(const std::vector<PairKey>& merges) {
  for (const PairKey pair : merges) {
    const auto symbol = symbols_.id(symbols_.name(left_of(pair)) + symbols_.name(right_of(pair)));
    merge_of_.emplace(pair, Merge{static_cast<std::int32_t>(merges_.size()), symbol});
    merges_.push_back(pair);
  }
}

std::vector<Subwords::Piece> Subwords::split(std::string_view text) const {
  std::vector<Piece> pieces;
  for (const std::string& token : split_tokens(text))
    if (whole_words_)
      pieces.push_back({token, token == end_name ? unknown : symbols_.id(token)});
    else
      split_token(token, pieces);
  return pieces;
}

void Subwords::split_token(const std::string& token, std::vector<Piece>& pieces) const {
  std::vector<Piece> parts;
  for (const std::string_view c : split_characters(token)) parts.push_back({std::string(c), symbols_.id(c)});
  while (true) {
    std::int32_t best = std::numeric_limits<std::int32_t>::max(), symbol = 0;
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto found = merge_of_.find(pair_of(parts[i].id, parts[i + 1].id));
      if (found == merge_of_.end() || found->second.rank >= best) continue;
      best = found->second.rank, symbol = found->second.symbol, at = i;
    }
    if (best == std::numeric_limits<std::int32_t>::max()) break;
    parts[at] = {parts[at].text + parts[at + 1].text, symbol};
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
  std::ranges::move(parts, std::back_inserter(pieces));
}

std::vector<std::int32_t> Subwords::ids(std::string_view text) const {
  std::vector<std::int32_t> all;
  for (const Piece& piece : split(text)) all.push_back(piece.id);
  return all;
}

nlohmann::json Subwords::to_json() const {
  nlohmann::json merges = nlohmann::json::array();
  for (const PairKey pair : merges_) merges.push_back({left_of(pair), right_of(pair)});
  return {{"words", whole_words_}, {"symbols", symbols_.to_json()}, {"merges", merges}};
}

Subwords Subwords::from_json(const nlohmann::json& json) {
  Subwords read;
  json.at("words").get_to(read.whole_words_);
  read.symbols_ = SymbolTable::from_json(json.at("symbols"));
  std::vector<PairKey> merges;
  for (const auto& [left, right] : json.at("merges").get<std::vector<std::pair<std::int32_t, std::int32_t>>>())
    merges.push_back(pair_of(left, right));
  read.add_merges(merges);
  return read;
}

}  // namespace unroll::inline UNROLL_ISA
