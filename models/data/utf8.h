#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

// Text as code points.

namespace unroll::inline UNROLL_ISA {

/// A text without the byte order mark that it may begin with.
constexpr std::string_view without_byte_order_mark(std::string_view text) {
  constexpr std::string_view mark = "\uFEFF";
  return text.starts_with(mark) ? text.substr(mark.size()) : text;
}

namespace detail {

/// Bytes of the character at the front of `text`, 0 when it is not well formed (Unicode 15, table
/// 3-7).
std::size_t character_length(std::string_view text);

/// How many bytes at the front of `text` are well-formed characters: all, if it is UTF-8.
std::size_t well_formed(std::string_view text);
inline bool is_utf8(std::string_view text) { return well_formed(text) == text.size(); }

/// The code point of one well-formed character.
std::uint32_t code_point(std::string_view character);

/// Whether a character is white space: what Python's str.split separates at, 29 code points.
bool is_white_space(std::string_view character);

/// Calls f(character, byte offset) for each character; throws `E`, naming `where` and the byte, for text that is not
/// UTF-8.
template <class E, class F>
void for_each_character(std::string_view text, std::string_view where, F&& f) {
  for (std::size_t offset = 0; offset < text.size();) {
    const std::size_t n = character_length(text.substr(offset));
    require<E>(n > 0, "{}: invalid UTF-8 at byte {}", where, offset);
    f(text.substr(offset, n), offset);
    offset += n;
  }
}

}  // namespace detail

/// The characters of a text, code point by code point, as parts of it. Throws ValueError, naming `where` and the byte,
/// for text that is not UTF-8.
std::vector<std::string_view> split_characters(std::string_view text, std::string_view where = "characters");

/// What stands between the white space of Unicode in a text, as parts of it: Python's str.split. Throws ValueError as
/// split_characters does.
std::vector<std::string_view> split_words(std::string_view text, std::string_view where = "words");

/// Number of code points. Throws ValueError as split_characters does.
Index count_characters(std::string_view text, std::string_view where = "characters");

}  // namespace unroll::inline UNROLL_ISA
