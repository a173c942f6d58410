#include <unroll/models/data/utf8.h>

#include <array>

namespace unroll::inline UNROLL_ISA {

std::size_t detail::character_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned lead = byte(0), second = byte(1);
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4 || !tail(1)) return 0;
  if (lead < 0xE0) return 2;
  if (lead < 0xF0) {
    const bool overlong = lead == 0xE0 && second < 0xA0, surrogate = lead == 0xED && second >= 0xA0;
    return overlong || surrogate || !tail(2) ? 0 : 3;
  }
  const bool overlong = lead == 0xF0 && second < 0x90, beyond = lead == 0xF4 && second >= 0x90;
  return overlong || beyond || !tail(2) || !tail(3) ? 0 : 4;
}

std::size_t detail::well_formed(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t n = character_length(text.substr(at));
    if (n == 0) break;
    at += n;
  }
  return at;
}

std::uint32_t detail::code_point(std::string_view character) {
  static constexpr std::array<std::uint32_t, 5> lead_mask{0, 0x7F, 0x1F, 0x0F, 0x07};
  std::uint32_t code = static_cast<unsigned char>(character[0]) & lead_mask[character.size()];
  for (const char c : character.substr(1)) code = code << 6 | (static_cast<unsigned char>(c) & 0x3F);
  return code;
}

bool detail::is_white_space(std::string_view character) {
  const std::uint32_t c = code_point(character);
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
         c == 0x202F || c == 0x205F || c == 0x3000;
}

std::vector<std::string_view> split_characters(std::string_view text, std::string_view where) {
  std::vector<std::string_view> characters;
  characters.reserve(text.size());
  detail::for_each_character<ValueError>(text, where,
                                         [&](std::string_view c, std::size_t) { characters.push_back(c); });
  return characters;
}

std::vector<std::string_view> split_words(std::string_view text, std::string_view where) {
  std::vector<std::string_view> words;
  std::size_t first = 0;
  const auto end_word = [&](std::size_t end) {
    if (end > first) words.push_back(text.substr(first, end - first));
  };
  detail::for_each_character<ValueError>(text, where, [&](std::string_view c, std::size_t offset) {
    if (!detail::is_white_space(c)) return;
    end_word(offset);
    first = offset + c.size();
  });
  end_word(text.size());
  return words;
}

Index count_characters(std::string_view text, std::string_view where) {
  Index count = 0;
  detail::for_each_character<ValueError>(text, where, [&](std::string_view, std::size_t) { ++count; });
  return count;
}

}  // namespace unroll::inline UNROLL_ISA
