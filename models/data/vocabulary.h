#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

namespace unroll::inline UNROLL_ISA {

/// The symbols of a text and their ids 0..size-1. A symbol is a character (one Unicode code point
/// of UTF-8), or a word: what stands between ASCII white space, and `<eos>` for each line end. Text
/// that is not UTF-8 is a FileError that names the byte.
class Vocabulary {
 public:
  static constexpr std::string_view unknown_symbol = "<unk>", line_end = "<eos>";

  /// The characters of `text` in the order of their code points; `<unk>` is added as the last
  /// symbol when asked.
  static Vocabulary characters(std::string_view text, bool unknown = false);
  /// `<unk>`, `<eos>` and the most frequent words of `text`, together at most `limit` symbols, the
  /// more frequent first, equally frequent ones in the order of their bytes. Throws ValueError for
  /// a limit below 2.
  static Vocabulary words(std::string_view text, Index limit = 10000);

  Index size() const { return static_cast<Index>(symbols_.size()); }
  bool has_words() const { return words_; }
  /// Id of `<unk>`, if there is one.
  std::optional<std::int32_t> unknown() const { return unknown_; }
  /// Id of a symbol, if it has one of its own.
  std::optional<std::int32_t> find(std::string_view symbol) const;
  /// Id of a symbol, or that of `<unk>`; throws IndexError when there is neither.
  std::int32_t id(std::string_view symbol) const;
  /// Throws IndexError unless 0 <= id < size().
  const std::string& symbol(Index id) const;

  /// Ids of a text; what is not in the vocabulary becomes `<unk>`. Throws IndexError, naming the
  /// character and its position, when there is no `<unk>`.
  std::vector<std::int32_t> encode(std::string_view text) const;
  /// Ids of a text; what is not in the vocabulary becomes `replacement`.
  std::vector<std::int32_t> encode(std::string_view text, std::int32_t replacement) const;
  /// How many symbols of a text are not in the vocabulary.
  Index count_unknown(std::string_view text) const;
  /// The text of ids: words are separated by a blank, `<eos>` is a line end, an unknown character
  /// is U+FFFD and padding is nothing.
  std::string decode(std::span<const std::int32_t> ids) const;

  /// `{"characters": "...", "unknown": false}` or `{"words": ["<unk>", "<eos>", ...]}`.
  std::string to_json() const;
  /// Throws FileError, naming what is wrong, unless the text came from to_json.
  static Vocabulary from_json(std::string_view json);

  friend bool operator==(const Vocabulary& a, const Vocabulary& b) {
    return a.words_ == b.words_ && a.symbols_ == b.symbols_;
  }

 private:
  friend class Text;
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
  };

  Vocabulary(bool words, std::vector<std::string> symbols);
  static Vocabulary characters(std::string_view text, bool unknown, std::string_view where);
  static Vocabulary words(std::string_view text, Index limit, std::string_view where);
  std::vector<std::int32_t> encode(std::string_view text, std::optional<std::int32_t> replacement,
                                   std::string_view where) const;

  bool words_ = false;
  std::vector<std::string> symbols_;
  std::unordered_map<std::string, std::int32_t, Hash, std::equal_to<>> ids_;
  std::optional<std::int32_t> unknown_;
};

namespace detail {
/// Where word k of a text begins, in bytes; words and line ends count alike.
std::size_t word_offset(std::string_view text, std::size_t k);
}  // namespace detail

}  // namespace unroll::inline UNROLL_ISA
