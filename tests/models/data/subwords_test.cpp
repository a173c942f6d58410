#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include <unroll/autograd/tensor/rng.h>
#include <unroll/models/data/parallel_text.h>
#include <unroll/models/data/subwords.h>

using namespace unroll;

namespace {

using Words = std::vector<std::string>;

Words texts_of(const Subwords& subwords, const std::string& text) {
  Words texts;
  for (const Subwords::Piece& piece : subwords.split(text)) {
    texts.push_back(piece.text);
    if (piece.id != Subwords::unknown) CHECK(subwords.name(piece.id) == piece.text);
  }
  return texts;
}

Words names_of(const Subwords& subwords) {
  Words names;
  for (Index i = 0; i < subwords.size(); ++i) names.push_back(subwords.name(i));
  return names;
}

/// The symbols of byte-pair encoding as its authors write it: all pairs are counted anew for each merge.
Words learnt_naively(const SymbolCounts& tokens, Index merges) {
  Words names{"<unk>", "</s>", "a", "b", "c"};
  const auto id = [&](const std::string& name) { return std::ranges::find(names, name) - names.begin(); };
  std::vector<std::pair<Words, Index>> words;
  for (const auto& [token, count] : tokens) {
    words.push_back({{}, count});
    for (const char c : token) words.back().first.emplace_back(1, c);
  }
  for (; merges > 0; --merges) {
    std::map<std::pair<std::ptrdiff_t, std::ptrdiff_t>, Index> pairs;
    for (const auto& [word, count] : words)
      for (std::size_t i = 0; i + 1 < word.size(); ++i) pairs[{id(word[i]), id(word[i + 1])}] += count;
    const auto best =
        std::ranges::max_element(pairs, {}, [](const auto& pair) { return pair.second; });  // the first of equals
    if (best == pairs.end() || best->second < 2) break;
    const std::string left = names[static_cast<std::size_t>(best->first.first)],
                      right = names[static_cast<std::size_t>(best->first.second)];
    if (id(left + right) == std::ssize(names)) names.push_back(left + right);
    for (auto& [word, count] : words)
      for (std::size_t i = 0; i + 1 < word.size(); ++i)
        if (word[i] == left && word[i + 1] == right) {
          word[i] += right;
          word.erase(word.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        }
  }
  return names;
}

}  // namespace

TEST_CASE("subwords: the pairs of Sennrich's example are joined in their order") {
  const SymbolCounts tokens{{"low", 5}, {"lowest", 2}, {"newer", 6}, {"wider", 3}};
  const Subwords subwords = Subwords::learn(tokens, 4);
  // Characters, then er (9), lo and low (7 each), and of ew, ne and wer (6 each) that with the lowest ids.
  CHECK(names_of(subwords) ==
        Words{"<unk>", "</s>", "d", "e", "i", "l", "n", "o", "r", "s", "t", "w", "er", "lo", "low", "ew"});
}

TEST_CASE("subwords: counts that are kept up to date choose what counting anew chooses") {
  Rng rng{3};
  for (int round = 0; round < 50; ++round) {
    SymbolCounts tokens{{"abc", 2}};
    for (Index n = 1 + rng.below(30); n > 0; --n) {
      std::string token;
      for (Index k = 1 + rng.below(9); k > 0; --k) token += static_cast<char>('a' + rng.below(3));
      tokens[token] += 1 + rng.below(4);
    }
    const Index merges = rng.below(60);
    CHECK(names_of(Subwords::learn(tokens, merges)) == learnt_naively(tokens, merges));
  }
}

TEST_CASE("subwords: a text is written with pairs in the order in which they were learnt") {
  // ab (5), then abc (3); bc is never joined, though it would be first from the right.
  const Subwords subwords = Subwords::learn({{"ab", 2}, {"abc", 3}, {"bd", 2}}, 3);
  CHECK(texts_of(subwords, "abc") == Words{"▁", "abc"});
  CHECK(texts_of(subwords, "bcabdbd") == Words{"▁", "b", "c", "ab", "d", "bd"});
}

TEST_CASE("subwords: a text is the join of its pieces, with characters that were never seen") {
  SymbolCounts tokens;
  for (const std::string& token : split_tokens("der Eisfischer und die Eisfischerhütte auf der Eisbahn, dem Eis"))
    ++tokens[token];
  const Subwords subwords = Subwords::learn(tokens, 20);
  for (const char* text : {"Die Eishütte der Fischer", "Ωmega 7 ▲"})
    CHECK(join_tokens(texts_of(subwords, text)) == text);
  CHECK(subwords.ids("Ω").back() == Subwords::unknown);
  CHECK(subwords.ids("").empty());

  const Subwords read = Subwords::from_json(nlohmann::json::parse(subwords.to_json().dump()));
  CHECK(read.size() == subwords.size());
  CHECK(read.ids("Die Eishütte der Fischer") == subwords.ids("Die Eishütte der Fischer"));
  CHECK(read.ids("Die Eishütte der Fischer").size() < 20);
}

TEST_CASE("subwords: whole words that occur twice, and others as they are") {
  const Subwords words = Subwords::words({{"▁a", 3}, {"▁dog", 2}, {"▁cat", 1}});
  CHECK(words.size() == 4);
  CHECK(texts_of(words, "a dog cat") == Words{"▁a", "▁dog", "▁cat"});
  CHECK(words.ids("a dog cat") == std::vector<std::int32_t>{2, 3, Subwords::unknown});
  const Subwords read = Subwords::from_json(words.to_json());
  CHECK(read.ids("a dog cat") == words.ids("a dog cat"));
  CHECK_THROWS_AS(Subwords::from_json(nlohmann::json::parse(R"({"words": true})")), nlohmann::json::exception);
}
