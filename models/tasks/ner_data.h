#pragma once

#include <nlohmann/json_fwd.hpp>

#include <unroll/autograd/tensor/rng.h>
#include <unroll/models/data/conll.h>
#include <unroll/models/data/symbol_table.h>

namespace unroll::inline UNROLL_ISA {

/// A sentence, and what NerSymbols::encode puts for its tokens.
struct Sentence : TaggedSentence {
  using Ids = std::vector<std::int32_t>;
  Ids words, shapes, targets;   // of each token
  std::vector<Ids> characters;  // of each token
  Index length() const { return static_cast<Index>(tokens.size()); }
};

/// Ids for words in small letters with zeros for digits, for their characters, for their shapes (McDonald's is XxXx'x)
/// and for tags in BIOES.
struct NerSymbols {
  SymbolTable words, characters, shapes, tags;
  Index frequent = 0;  // words from this id on were met but once

  /// What is met in sentences; for each type of entity all of its tags.
  static NerSymbols learn(const std::vector<Sentence>& sentences);
  /// Sets the ids of each token, of its first 40 characters, and of its tag: -1 for one that was not there to be
  /// learnt, which is validated on, never trained.
  void encode(Sentence& sentence) const;

  nlohmann::json to_json() const;
  /// Throws what the JSON library throws for what to_json did not make.
  static NerSymbols from_json(const nlohmann::json& json);
};

/// The sentences of files in the columns of CoNLL, without ids; see read_conll.
std::vector<Sentence> read_sentences(const std::vector<std::string>& files, BadLines& bad);

/// Writes made-up sentences: people whom a title or a verb gives away, places behind a preposition, and companies that
/// end in Ltd or Group; the names are made of syllables, most of them new. Throws FileError.
void write_sentences(const std::string& path, Index count, Rng& rng);

}  // namespace unroll::inline UNROLL_ISA
