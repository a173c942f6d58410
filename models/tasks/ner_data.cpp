#include <unroll/models/tasks/ner_data.h>

#include <algorithm>
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <unroll/autograd/tensor/error.h>
#include <unroll/models/data/utf8.h>
#include <unroll/models/metrics/entities.h>

namespace unroll::inline UNROLL_ISA {
namespace {

/// A word as its embedding knows it: small letters and zeros (of ASCII).
std::string normal_form(std::string word) {
  for (char& c : word) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c >= '0' && c <= '9' ? '0' : c;
  return word;
}

/// Its letters as X or x, its digits as 0, other scripts as y, with runs of one kind as one: "McDonald's" is XxXx'x.
std::string shape_of(const std::string& word) {
  std::string shape;
  for (const char c : word) {
    const bool upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z', digit = c >= '0' && c <= '9';
    const bool ascii = static_cast<unsigned char>(c) < 0x80;
    const char kind = upper ? 'X' : lower ? 'x' : digit ? '0' : ascii ? c : 'y';
    if (shape.empty() || shape.back() != kind) shape += kind;
  }
  return shape;
}

}  // namespace

NerSymbols NerSymbols::learn(const std::vector<Sentence>& sentences) {
  SymbolCounts words, characters, shapes, tags{{"O", 1}};
  for (const Sentence& s : sentences) {
    for (const std::string& token : s.tokens) {
      ++words[normal_form(token)], ++shapes[shape_of(token)];
      for (const auto c : split_characters(token)) ++characters[std::string(c)];
    }
    for (const Entity& e : find_entities(s.tags))
      for (const char letter : {'B', 'I', 'E', 'S'}) ++tags[fmt::format("{}-{}", letter, e.type)];
  }
  const auto frequent = std::count_if(words.begin(), words.end(), [](const auto& word) { return word.second > 1; });
  return {SymbolTable::words(words), SymbolTable::words(characters, 3), SymbolTable::words(shapes, 5),
          SymbolTable::labels(tags), 1 + frequent};
}

void NerSymbols::encode(Sentence& s) const {
  constexpr std::size_t longest = 40;
  s.words.clear(), s.shapes.clear(), s.targets.clear(), s.characters.clear();
  for (const std::string& token : s.tokens) {
    s.words.push_back(words.id(normal_form(token)));
    s.shapes.push_back(shapes.id(shape_of(token)));
    s.characters.emplace_back();
    for (const auto c : split_characters(token))
      if (s.characters.back().size() < longest) s.characters.back().push_back(characters.id(c));
  }
  for (const std::string& tag : to_bioes(s.tags)) s.targets.push_back(tags.find(tag).value_or(-1));
}

nlohmann::json NerSymbols::to_json() const {
  return {{"words", words.to_json()},
          {"characters", characters.to_json()},
          {"shapes", shapes.to_json()},
          {"tags", tags.to_json()},
          {"frequent", frequent}};
}

NerSymbols NerSymbols::from_json(const nlohmann::json& json) {
  const auto table = [&](const char* name) { return SymbolTable::from_json(json.at(name)); };
  return {table("words"), table("characters"), table("shapes"), table("tags"), json.at("frequent").get<Index>()};
}

std::vector<Sentence> read_sentences(const std::vector<std::string>& files, BadLines& bad) {
  std::vector<Sentence> sentences;
  for (TaggedSentence& s : read_conll(files, bad)) sentences.push_back({std::move(s), {}, {}, {}, {}});
  return sentences;
}

void write_sentences(const std::string& path, Index count, Rng& rng) {
  std::ofstream out(path);
  require<FileError>(out.good(), "{} cannot be written", path);
  const auto one_of = [&](std::initializer_list<const char*> choices) {
    return std::string(choices.begin()[rng.below(static_cast<Index>(choices.size()))]);
  };
  const auto made_up = [&] {
    std::string word;
    for (Index n = 2 + rng.below(2); n > 0; --n)
      word += one_of({"b", "d", "k", "l", "m", "r", "s", "t", "v"}) + one_of({"a", "e", "i", "o", "u"});
    word[0] = static_cast<char>(word[0] - 'a' + 'A');
    return word;
  };
  const auto put = [&](const std::string& token, const std::string& tag) { out << token << "\t" << tag << "\n"; };
  const auto person = [&] {
    if (rng.below(2) == 0) put(one_of({"Dr", "Mrs", "Mr"}), "O");
    put(made_up(), "B-PER");
    if (rng.below(2) == 0) put(made_up(), "I-PER");
  };
  const auto company = [&] { put(made_up(), "B-ORG"), put(one_of({"Ltd", "Group"}), "I-ORG"); };
  for (Index i = 0; i < count; ++i) {
    rng.below(3) == 0 ? company() : person();
    put(one_of({"left", "reached", "praised"}), "O");
    if (rng.below(2) == 0) put(one_of({"Monday", "Everyone"}), "O");
    put(one_of({"near", "in"}), "O"), put(made_up(), "B-LOC");
    if (rng.below(3) == 0) put("with", "O"), person();
    put(".", "O");
    out << "\n";
  }
  require<FileError>(out.flush().good(), "{} cannot be written", path);
}

}  // namespace unroll::inline UNROLL_ISA
