#include <unroll/models/data/vocabulary.h>

#include <unroll/models/data/utf8.h>
#include <algorithm>
#include <nlohmann/json.hpp>

namespace unroll::inline UNROLL_ISA {

namespace {

constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

/// Calls f(symbol, byte offset) for each character.
template <class F>
void for_each_character(std::string_view text, std::string_view where, F&& f) {
  detail::for_each_character<FileError>(text, where, f);
}

bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// Calls f(symbol, byte offset) for each word and line end.
template <class F>
void for_each_word(std::string_view text, std::string_view where, F&& f) {
  for_each_character(text, where, [](std::string_view, std::size_t) {});
  for (std::size_t offset = 0; offset < text.size();) {
    std::size_t end = offset;
    while (end < text.size() && !is_blank(text[end])) ++end;
    if (end > offset) {
      f(text.substr(offset, end - offset), offset);
    } else {
      if (text[end] == '\n') f(Vocabulary::line_end, offset);
      ++end;
    }
    offset = end;
  }
}

template <class F>
void for_each_symbol(bool words, std::string_view text, std::string_view where, F&& f) {
  if (words)
    for_each_word(text, where, f);
  else
    for_each_character(text, where, f);
}

/// A symbol as messages show it: quoted, a character also by its code point.
std::string shown(std::string_view symbol) {
  constexpr std::size_t longest = 40;
  if (symbol.empty() || detail::character_length(symbol) != symbol.size())
    return fmt::format("'{}'", symbol.substr(0, longest));
  const std::uint32_t code = detail::code_point(symbol);
  const bool control = code < 0x20 || (code >= 0x7F && code < 0xA0);
  return control ? fmt::format("U+{:04X}", code) : fmt::format("'{}' (U+{:04X})", symbol, code);
}

}  // namespace

Vocabulary::Vocabulary(bool words, std::vector<std::string> symbols) : words_(words), symbols_(std::move(symbols)) {
  ids_.reserve(symbols_.size());
  for (std::size_t i = 0; i < symbols_.size(); ++i) ids_.emplace(symbols_[i], static_cast<std::int32_t>(i));
  unknown_ = find(unknown_symbol);
}

Vocabulary Vocabulary::characters(std::string_view text, bool unknown, std::string_view where) {
  std::vector<std::string> symbols;
  std::vector<bool> seen(0x110000);
  for_each_character(text, where, [&](std::string_view character, std::size_t) {
    const std::uint32_t code = detail::code_point(character);
    if (!seen[code]) symbols.emplace_back(character);
    seen[code] = true;
  });
  std::sort(symbols.begin(), symbols.end());  // bytes of UTF-8 sort as code points do
  if (unknown) symbols.emplace_back(unknown_symbol);
  return Vocabulary(false, std::move(symbols));
}

Vocabulary Vocabulary::words(std::string_view text, Index limit, std::string_view where) {
  require<ValueError>(limit >= 2 && limit <= INT32_MAX, "{}: a vocabulary of {} words; it takes 2 to {}", where, limit,
                      INT32_MAX);
  std::unordered_map<std::string_view, Index> counts;
  for_each_word(text, where, [&](std::string_view word, std::size_t) { ++counts[word]; });
  counts.erase(unknown_symbol);
  counts.erase(line_end);
  std::vector<std::pair<std::string_view, Index>> sorted(counts.begin(), counts.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  if (sorted.size() > at(limit - 2)) sorted.resize(at(limit - 2));
  std::vector<std::string> symbols{std::string(unknown_symbol), std::string(line_end)};
  for (const auto& [word, count] : sorted) symbols.emplace_back(word);
  return Vocabulary(true, std::move(symbols));
}

Vocabulary Vocabulary::characters(std::string_view text, bool unknown) {
  return characters(text, unknown, "vocabulary");
}

Vocabulary Vocabulary::words(std::string_view text, Index limit) { return words(text, limit, "vocabulary"); }

std::optional<std::int32_t> Vocabulary::find(std::string_view symbol) const {
  const auto found = ids_.find(symbol);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

std::int32_t Vocabulary::id(std::string_view symbol) const {
  const auto found = find(symbol);
  if (!found && !unknown_) throw IndexError(fmt::format("vocabulary: no symbol {}", shown(symbol)));
  return found ? *found : *unknown_;
}

const std::string& Vocabulary::symbol(Index id) const {
  require<IndexError>(id >= 0 && id < size(), "vocabulary: id {} of {} symbols", id, size());
  return symbols_[at(id)];
}

std::vector<std::int32_t> Vocabulary::encode(std::string_view text, std::optional<std::int32_t> replacement,
                                             std::string_view where) const {
  std::vector<std::int32_t> ids;
  ids.reserve(words_ ? text.size() / 5 : text.size());
  for_each_symbol(words_, text, where, [&](std::string_view symbol, std::size_t offset) {
    const auto found = find(symbol);
    if (!found && !replacement) [[unlikely]]
      throw IndexError(fmt::format("{}: character {} at position {} (byte {}) is not in the vocabulary", where,
                                   shown(symbol), ids.size(), offset));
    ids.push_back(found ? *found : *replacement);
  });
  return ids;
}

std::vector<std::int32_t> Vocabulary::encode(std::string_view text) const {
  return encode(text, unknown_, "vocabulary");
}

std::vector<std::int32_t> Vocabulary::encode(std::string_view text, std::int32_t replacement) const {
  return encode(text, std::optional(replacement), "vocabulary");
}

Index Vocabulary::count_unknown(std::string_view text) const {
  Index count = 0;
  for_each_symbol(words_, text, "vocabulary", [&](std::string_view symbol, std::size_t) { count += !find(symbol); });
  return count;
}

std::string Vocabulary::decode(std::span<const std::int32_t> ids) const {
  std::string text;
  for (const std::int32_t id : ids) {
    if (id == -1) continue;
    const std::string_view s = symbol(id);
    if (!words_) {
      text += id == unknown_ ? replacement_character : s;
    } else if (s == line_end) {
      text += '\n';
    } else {
      if (!text.empty() && text.back() != '\n') text += ' ';
      text += s;
    }
  }
  return text;
}

std::string Vocabulary::to_json() const {
  if (words_) return nlohmann::json{{"words", symbols_}}.dump();
  std::string characters;
  for (const std::string& symbol : symbols_)
    if (symbol != unknown_symbol) characters += symbol;
  return nlohmann::json{{"characters", characters}, {"unknown", unknown_.has_value()}}.dump();
}

Vocabulary Vocabulary::from_json(std::string_view json) {
  nlohmann::json document;
  try {
    document = nlohmann::json::parse(json);
  } catch (const nlohmann::json::parse_error& e) {
    throw FileError(fmt::format("vocabulary: invalid JSON at byte {}", e.byte));
  } catch (const nlohmann::json::exception&) { throw FileError("vocabulary: invalid JSON"); }
  const auto member = [&](const char* name) -> const nlohmann::json* {
    const auto found = document.find(name);
    return found == document.end() ? nullptr : &*found;
  };
  require<FileError>(document.is_object(), "vocabulary: the JSON is not an object");
  const auto *characters = member("characters"), *words = member("words");
  require<FileError>((characters == nullptr) != (words == nullptr),
                     "vocabulary: the JSON should have either characters or words");
  std::vector<std::string> symbols;
  if (characters != nullptr) {
    const auto* unknown = member("unknown");
    require<FileError>(characters->is_string(), "vocabulary: characters should be a string");
    require<FileError>(unknown == nullptr || unknown->is_boolean(), "vocabulary: unknown should be true or false");
    for_each_character(characters->get_ref<const std::string&>(), "vocabulary",
                       [&](std::string_view c, std::size_t) { symbols.emplace_back(c); });
    if (unknown != nullptr && unknown->get<bool>()) symbols.emplace_back(unknown_symbol);
  } else {
    require<FileError>(words->is_array(), "vocabulary: words should be an array");
    for (const auto& word : *words) {
      require<FileError>(word.is_string(), "vocabulary: word {} is not a string", symbols.size());
      symbols.push_back(word.get<std::string>());
      const std::string& s = symbols.back();
      require<FileError>(!s.empty() && std::none_of(s.begin(), s.end(), is_blank),
                         "vocabulary: word {} is empty or has white space", symbols.size() - 1);
    }
    require<FileError>(symbols.size() >= 2 && symbols[0] == unknown_symbol && symbols[1] == line_end,
                       "vocabulary: the first words should be {} and {}", unknown_symbol, line_end);
  }
  require<FileError>(!symbols.empty() && symbols.size() <= INT32_MAX, "vocabulary: {} symbols", symbols.size());
  Vocabulary vocabulary(words != nullptr, std::move(symbols));
  for (std::size_t i = 0; i < vocabulary.symbols_.size(); ++i)
    if (const std::string& s = vocabulary.symbols_[i]; vocabulary.find(s) != static_cast<std::int32_t>(i))
      throw FileError(fmt::format("vocabulary: symbol {} is there twice", shown(s)));
  return vocabulary;
}

std::size_t detail::word_offset(std::string_view text, std::size_t k) {
  std::size_t count = 0, found = text.size();
  for_each_word(text, "text", [&](std::string_view, std::size_t offset) {
    if (count++ == k) found = offset;
  });
  return found;
}

}  // namespace unroll::inline UNROLL_ISA
