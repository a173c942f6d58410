#include <unroll/models/data/utf8.h>
#include <unroll/models/metrics/tokenize_13a.h>

#include <initializer_list>
#include <utility>

namespace unroll::inline UNROLL_ISA {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_stop(char c) { return c == '.' || c == ','; }
/// ASCII punctuation but for ' , - and .
bool is_symbol(char c) {
  return (c >= '!' && c <= '&') || (c >= '(' && c <= '+') || c == '/' || (c >= ':' && c <= '@') ||
         (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}
void replace_all(std::string& text, std::string_view what, std::string_view by) {
  for (std::size_t i = text.find(what); i != text.npos; i = text.find(what, i + by.size()))
    text.replace(i, what.size(), by);
}

/// Sets a pair of neighbours apart wherever `matches` holds for them, from the left, no pair overlapping another.
template <class Matches>
std::string set_apart(std::string_view text, bool blank_before, bool blank_after, Matches&& matches) {
  std::string result;
  result.reserve(text.size() * 2);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i + 1 == text.size() || !matches(text[i], text[i + 1])) {
      result += text[i];
      continue;
    }
    if (blank_before) result += ' ';
    (result += text[i]) += ' ';
    result += text[++i];
    if (blank_after) result += ' ';
  }
  return result;
}

}  // namespace

std::vector<std::string> tokenize_13a(std::string_view text) {
  std::size_t end = 0;
  detail::for_each_character<ValueError>(text, "tokenize_13a", [&](std::string_view c, std::size_t offset) {
    if (!detail::is_white_space(c)) end = offset + c.size();
  });
  std::string line(text.substr(0, end));
  for (const auto& [what, by] : std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"<skipped>", ""}, {"-\n", ""}, {"\n", " "}, {"&quot;", "\""}, {"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}})
    replace_all(line, what, by);
  std::string spaced = " ";
  for (const char c : line) {
    if (is_symbol(c))
      ((spaced += ' ') += c) += ' ';
    else
      spaced += c;
  }
  spaced += ' ';
  // The bytes of a character beyond ASCII are neither digits nor stops, so that pairs of bytes do as pairs of
  // characters.
  spaced = set_apart(spaced, false, true, [](char a, char b) { return !is_digit(a) && is_stop(b); });
  spaced = set_apart(spaced, true, false, [](char a, char b) { return is_stop(a) && !is_digit(b); });
  spaced = set_apart(spaced, false, true, [](char a, char b) { return is_digit(a) && b == '-'; });
  const auto words = split_words(spaced, "tokenize_13a");
  return {words.begin(), words.end()};
}

}  // namespace unroll::inline UNROLL_ISA
