#pragma once

#include <unordered_map>

#include <unroll/models/data/symbol_table.h>

namespace unroll::inline UNROLL_ISA {

/// The symbols that the tokens of a text (see split_tokens) are written with: parts of words that are learnt from a
/// text by byte-pair encoding (Sennrich, Haddow and Birch 2016), whose units here are characters; or whole words.
class Subwords {
 public:
  static constexpr std::int32_t unknown = 0, end = 1;

  /// A part of a text, and its id; that of `unknown` keeps its text.
  struct Piece {
    std::string text;
    std::int32_t id;
  };

  Subwords() = default;
  /// Starts from the characters that occur at least twice and joins the most frequent pair of neighbours (of equally
  /// frequent ones that with the lower ids) into a symbol, `merges` times, as long as a pair occurs twice.
  static Subwords learn(const SymbolCounts& tokens, Index merges);
  /// Tokens themselves, of those that occur at least `least` times; at most `limit` of them if that is not 0.
  static Subwords words(const SymbolCounts& tokens, Index least = 2, Index limit = 0);

  Index size() const { return symbols_.size(); }
  /// Text is cut into tokens, and each is written with the symbols there are, pairs being joined in the order in which
  /// they were learnt. Throws ValueError for text that is not UTF-8.
  std::vector<Piece> split(std::string_view text) const;
  std::vector<std::int32_t> ids(std::string_view text) const;
  const std::string& name(Index id) const { return symbols_.name(id); }

  nlohmann::json to_json() const;
  static Subwords from_json(const nlohmann::json& json);

 private:
  struct Merge {
    std::int32_t rank, symbol;
  };
  using PairKey = std::uint64_t;  // left << 32 | right
  void add_merges(const std::vector<PairKey>& merges);
  void split_token(const std::string& token, std::vector<Piece>& pieces) const;

  bool whole_words_ = false;
  SymbolTable symbols_;
  std::vector<PairKey> merges_;  // in the order they were learnt
  std::unordered_map<PairKey, Merge> merge_of_;
};

}  // namespace unroll::inline UNROLL_ISA
