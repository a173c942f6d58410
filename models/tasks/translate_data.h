#pragma once

#include <nlohmann/json_fwd.hpp>

#include <unroll/autograd/tensor/rng.h>
#include <unroll/models/data/files.h>
#include <unroll/models/data/subwords.h>

namespace unroll::inline UNROLL_ISA {

/// A sentence with its translation, and what TranslateSymbols::encode puts for them.
struct TranslatedSentence {
  std::string source, target;
  std::vector<Subwords::Piece> pieces;               // of the source
  std::vector<std::int32_t> source_ids, target_ids;  // the source with the end symbol, so that there is always one
  Index length() const { return static_cast<Index>(source_ids.size() + target_ids.size()); }
};

/// What each language is written with.
struct TranslateSymbols {
  Subwords source, target;
  bool lower = false;

  /// Symbols by `merges` byte pairs in each language, or whole words if that is 0. `lower` says how the sentences were
  /// read. Throws ValueError for text that is not UTF-8.
  static TranslateSymbols learn(const std::vector<TranslatedSentence>& sentences, Index merges, bool lower);
  /// Sets the pieces and the ids.
  void encode(TranslatedSentence& sentence) const;

  nlohmann::json to_json() const;
  /// Throws what the JSON library throws for what to_json did not make.
  static TranslateSymbols from_json(const nlohmann::json& json);
};

/// The sentence pairs of files, without ids; see read_parallel_text. With `lower` in lower case.
std::vector<TranslatedSentence> read_translations(const std::vector<std::string>& files, bool lower, BadLines& bad);

/// Writes source<TAB>target lines of a toy language: of each clause of another one the words in reverse, word by word,
/// and names as they are. Throws FileError.
void write_translations(const std::string& path, Index count, Rng& rng);

}  // namespace unroll::inline UNROLL_ISA
