#include <unroll/models/tasks/translate_data.h>

#include <array>
#include <fstream>

#include <nlohmann/json.hpp>

#include <unroll/autograd/tensor/error.h>
#include <unroll/models/data/parallel_text.h>

namespace unroll::inline UNROLL_ISA {

TranslateSymbols TranslateSymbols::learn(const std::vector<TranslatedSentence>& sentences, Index merges, bool lower) {
  SymbolCounts sources, targets;
  for (const TranslatedSentence& s : sentences) {
    for (const std::string& token : split_tokens(s.source)) ++sources[token];
    for (const std::string& token : split_tokens(s.target)) ++targets[token];
  }
  const auto symbols = [&](const SymbolCounts& tokens) {
    return merges > 0 ? Subwords::learn(tokens, merges) : Subwords::words(tokens);
  };
  return {symbols(sources), symbols(targets), lower};
}

void TranslateSymbols::encode(TranslatedSentence& s) const {
  s.pieces = source.split(s.source);
  s.source_ids.clear();
  for (const Subwords::Piece& piece : s.pieces) s.source_ids.push_back(piece.id);
  s.source_ids.push_back(Subwords::end);
  s.target_ids = target.ids(s.target);
}

nlohmann::json TranslateSymbols::to_json() const {
  return {{"source", source.to_json()}, {"target", target.to_json()}, {"lower", lower}};
}

TranslateSymbols TranslateSymbols::from_json(const nlohmann::json& json) {
  return {Subwords::from_json(json.at("source")), Subwords::from_json(json.at("target")), json.at("lower")};
}

std::vector<TranslatedSentence> read_translations(const std::vector<std::string>& files, bool lower, BadLines& bad) {
  std::vector<TranslatedSentence> all;
  for (SentencePair& pair : read_parallel_text(files, bad)) {
    if (lower) pair = {lower_case(pair.source), lower_case(pair.target)};
    all.push_back({std::move(pair.source), std::move(pair.target), {}, {}, {}});
  }
  return all;
}

void write_translations(const std::string& path, Index count, Rng& rng) {
  std::ofstream out(path);
  require<FileError>(out.good(), "{} cannot be written", path);
  static constexpr std::array onsets{"b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t"};
  static constexpr std::array vowels{"a", "e", "i", "o", "u"};
  const auto syllable = [&](Index k) {
    return std::string(onsets[static_cast<std::size_t>(k % 12)]) + vowels[static_cast<std::size_t>(k / 12 % 5)];
  };
  const auto name = [&] {
    std::string made = syllable(rng.below(60)) + syllable(rng.below(60)) + syllable(rng.below(60)) + "x";
    made[0] = static_cast<char>(made[0] - 'a' + 'A');
    return made;
  };
  for (Index i = 0; i < count; ++i) {
    std::string source, target;
    for (Index clauses = 1 + rng.below(2); clauses > 0; --clauses) {
      std::string from, to;
      for (Index words = 2 + rng.below(4); words > 0; --words) {
        const Index word = rng.below(40);
        const std::string copied = word < 3 ? name() : "";
        from += (from.empty() ? "" : " ") + (word < 3 ? copied : syllable(word) + "n");
        to = (word < 3 ? copied : syllable(word + 17) + syllable(word)) + (to.empty() ? "" : " ") + to;
      }
      source += from + (clauses > 1 ? ", " : "."), target += to + (clauses > 1 ? ", " : ".");
    }
    out << source << '\t' << target << '\n';
  }
  require<FileError>(out.flush().good(), "{} cannot be written", path);
}

}  // namespace unroll::inline UNROLL_ISA
