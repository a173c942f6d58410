#include <unroll/models/data/parallel_text.h>

#include <fmt/ranges.h>
#include <utf8proc.h>

#include <utility>

#include <unroll/models/data/utf8.h>

namespace unroll::inline UNROLL_ISA {
namespace {

constexpr std::string_view space = "\u2581";

bool is_blank(std::string_view text) { return split_words(text).empty(); }

/// Keeps a pair, or says what is wrong with it.
void add(std::vector<SentencePair>& pairs, std::string_view source, std::string_view target, const std::string& place,
         BadLines& bad) {
  if (!detail::is_utf8(source) || !detail::is_utf8(target))
    bad.report(place, "the text is not UTF-8");
  else if (is_blank(source) || is_blank(target))
    bad.report(place, "a sentence and its translation are expected, and one of them is empty");
  else
    pairs.push_back({std::string(source), std::string(target)});
}

bool has_columns(const FileContent& file) {
  const std::string_view text = file.text;
  return text.substr(0, text.find('\n')).find('\t') != text.npos;
}

void read_columns(FileContent file, std::vector<SentencePair>& pairs, BadLines& bad) {
  LineReader lines(std::move(file));
  for (std::string_view line; lines.next(line);) {
    const auto columns = split_line(line, '\t');
    if (columns.size() == 2 || columns.size() == 3)
      add(pairs, columns[0], columns[1], lines.place(), bad);
    else
      bad.report(lines.place(),
                 fmt::format("a sentence, a tab and its translation are expected, not {} columns", columns.size()));
  }
}

void read_lines(FileContent source_file, FileContent target_file, std::vector<SentencePair>& pairs, BadLines& bad) {
  const std::string source_path = source_file.path, target_path = target_file.path;
  LineReader sources(std::move(source_file)), targets(std::move(target_file));
  std::string_view source, target;
  while (true) {
    const bool has_source = sources.next(source), has_target = targets.next(target);
    if (!has_source && !has_target) return;
    if (has_source != has_target) {
      const LineReader& longer = has_source ? sources : targets;
      bad.report(longer.place(), fmt::format("{} ends before this line", has_source ? target_path : source_path));
      return;
    }
    add(pairs, source, target, sources.place(), bad);
  }
}

bool is_word(std::string_view character) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(detail::code_point(character)))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::vector<SentencePair> read_parallel_text(const std::vector<std::string>& files, BadLines& bad) {
  std::vector<FileContent> columns, sides;
  std::vector<std::string> names;  // of the sides, which go in pairs
  for (const std::string& path : files) {
    FileContent file = FileContent::read(path);
    const bool has = has_columns(file);
    if (!has) names.push_back(path);
    (has ? columns : sides).push_back(std::move(file));
  }
  if (sides.size() == 1)
    throw FileError(
        fmt::format("{}: there is no tab in the first line, and no second file with the translations", names[0]));
  require<FileError>(sides.size() % 2 == 0,
                     "{}: files without a tab in the first line go in pairs, SOURCE TARGET, and these are {}",
                     fmt::join(names, ", "), sides.size());
  std::vector<SentencePair> pairs;
  for (FileContent& file : columns) read_columns(std::move(file), pairs, bad);
  for (std::size_t i = 0; i < sides.size(); i += 2)
    read_lines(std::move(sides[i]), std::move(sides[i + 1]), pairs, bad);
  return pairs;
}

std::string lower_case(std::string_view text) {
  std::string lower;
  lower.reserve(text.size());
  for (const std::string_view c : split_characters(text, "lower_case")) {
    utf8proc_uint8_t bytes[4];
    const auto n = utf8proc_encode_char(utf8proc_tolower(static_cast<utf8proc_int32_t>(detail::code_point(c))), bytes);
    lower.append(bytes, bytes + n);
  }
  return lower;
}

std::vector<std::string> split_tokens(std::string_view text) {
  const std::vector<std::string_view> characters = split_characters(text, "text");
  const auto word_at = [&](std::size_t i) { return i < characters.size() && is_word(characters[i]); };
  std::vector<std::string> tokens;
  std::string_view before = space;  // white space that goes with the next character
  bool in_word = false;             // whether the last token goes on
  for (std::size_t i = 0; i < characters.size(); ++i) {
    const std::string_view c = characters[i];
    const bool within = i > 0 && word_at(i - 1) && word_at(i + 1);
    if (c == space || detail::is_white_space(c)) {
      if (c.size() > 1 && c != space)
        before = c;
      else if (before.empty())
        before = space;
      in_word = false;
    } else if (in_word && (is_word(c) || (within && (c == "'" || c == "\u2019")))) {
      tokens.back() += c;
      in_word = is_word(c);
    } else {
      tokens.push_back(std::string(before) + std::string(c));
      before = {};
      in_word = is_word(c) || (within && c == "-");
    }
  }
  return tokens;
}

std::string join_tokens(std::span<const std::string> tokens) {
  std::string text;
  for (const std::string& token : tokens) text += token;
  std::string joined;
  for (std::size_t i = 0; i < text.size();) {
    const bool marker = text.compare(i, space.size(), space) == 0;
    if (!marker)
      joined += text[i];
    else if (i > 0)
      joined += ' ';
    i += marker ? space.size() : 1;
  }
  return joined;
}

}  // namespace unroll::inline UNROLL_ISA
