#include <doctest/doctest.h>

#include <unroll/models/data/utf8.h>

using namespace unroll;

using Parts = std::vector<std::string_view>;

TEST_CASE("utf8: characters are code points of one to four bytes") {
  CHECK(split_characters("aé中🙂") == Parts{"a", "é", "中", "🙂"});
  CHECK(count_characters("e\u0301") == 2);
  CHECK(count_characters("") == 0);
  CHECK(detail::code_point("🙂") == 0x1F642);
}

TEST_CASE("utf8: words are separated by the white space of Unicode") {
  CHECK(split_words(" a\u00A0b\u3000\u2028c\x1F\nd\u200Be ") == Parts{"a", "b", "c", "d\u200Be"});
  CHECK(split_words("\u0085").empty());
  CHECK(split_words("").empty());
}

TEST_CASE("utf8: what is not well formed is refused, with its place") {
  CHECK_THROWS_WITH_AS(split_characters("ab\x80"), "characters: invalid UTF-8 at byte 2", ValueError);
  CHECK(detail::well_formed("é\xFFé") == 2);
  CHECK(detail::is_utf8("aé中🙂"));
  CHECK(detail::is_utf8(""));
  // Overlong forms, a surrogate, beyond the last code point, cut short.
  for (const char* wrong :
       {"\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE4\xB8", "\xF0\x9F\x99"}) {
    CHECK_THROWS_AS(count_characters(wrong), ValueError);
    CHECK_THROWS_AS(split_words(wrong), ValueError);
    CHECK_FALSE(detail::is_utf8(wrong));
  }
}
