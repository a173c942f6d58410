#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <unroll/autograd/tensor/rng.h>
#include <unroll/models/data/files.h>
#include <unroll/models/data/symbol_table.h>

namespace unroll::inline UNROLL_ISA {

/// Part of a sentence, as a node of its tree.
struct Phrase {
  Index parent;       // -1: the whole sentence
  Index first, last;  // words first .. last - 1
  bool leaf;
  std::int32_t label;  // -1: none
};

struct Opinion {
  std::string target;  // of which label is one
  std::string place;   // "file:12"
  std::int32_t label = 0;
  std::vector<std::string> words;
  std::vector<Phrase> phrases;    // each before its parts; none without a tree
  std::vector<std::int32_t> ids;  // of the words
  Index length() const { return static_cast<Index>(words.size()); }
};

/// The names of a target's labels, in order: of `stars`, `recommended`, `sentiment5` (of trees whose labels are 0 .. 4)
/// or `sentiment2` (of the same without the neutral ones). Throws ValueError for another target.
std::span<const std::string> sentiment_labels(std::string_view target);

/// The target of a model, and ids for words.
struct SentimentSymbols {
  std::string target;
  std::int32_t majority = 0;  // the most frequent label
  SymbolTable words;

  /// Words that are met at least `min_count` times. Throws ValueError unless all opinions have one target.
  static SentimentSymbols learn(const std::vector<Opinion>& opinions, Index min_count);
  /// Sets the ids of the words. Throws ValueError for an opinion with another target.
  void encode(Opinion& opinion) const;
  std::span<const std::string> labels() const { return sentiment_labels(target); }

  nlohmann::json to_json() const;
  /// Throws what the JSON library throws for what to_json did not make.
  static SentimentSymbols from_json(const nlohmann::json& json);
};

/// Some words in a row, and what they mean.
struct Passage {
  std::span<const std::int32_t> ids;
  std::int32_t label;
};
/// Each opinion as a whole.
std::vector<Passage> whole_passages(std::span<const Opinion* const> opinions);
/// Adds `count` phrases of an opinion that are drawn anew, but for those without a label; none where there is no tree.
void draw_passages(const Opinion& opinion, Index count, Rng& rng, std::vector<Passage>& to);

/// The trees of opinions as one forest, each node before its parts.
struct OpinionTrees {
  std::vector<Index> parents;               // -1: a root
  std::vector<std::int32_t> words, labels;  // -1: none
};
OpinionTrees trees_of(std::span<const Opinion* const> opinions);

/// The columns of a table of reviews.
struct ReviewColumns {
  std::string text;   // names separated by commas: their texts one after the other
  std::string label;  // whole numbers
};

/// The words of a text in lower case, without white space: letters, digits and hyphens in a row, contractions parted as
/// in the Penn Treebank (do n't, it 's), and equal punctuation in a row. Throws ValueError for what is not UTF-8.
std::vector<std::string> opinion_words(std::string_view text);

/// The reviews of a table; such of no word are left out and counted.
std::vector<Opinion> read_reviews(const FileContent& file, const ReviewColumns& columns, std::string_view target,
                                  BadLines& bad);
/// A tree for each line; such without a label of the target are left out.
std::vector<Opinion> read_opinion_trees(FileContent file, std::string_view target, BadLines& bad);
/// A tree, whatever its labels. Throws ValueError for what is none of at most two branches each.
Opinion parse_opinion_tree(std::string_view line);
/// The target of a file, where `wanted` may be auto: sentiment5 of trees, stars of reviews. Throws ValueError where the
/// file does not say the one that is wanted, or holds no trees but must.
std::string sentiment_target(const FileContent& file, const std::string& wanted, bool must_hold_trees);

/// Writes made-up opinions, as "reviews" or as "trees". Words have labels 0 .. 4, `not` turns that of the next one
/// round, and what is said once is said of the whole.
void write_opinions(const std::string& file, std::string_view form, Index count, Rng& rng);

}  // namespace unroll::inline UNROLL_ISA
