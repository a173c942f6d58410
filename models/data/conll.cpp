#include <unroll/models/data/conll.h>

#include <algorithm>

#include <unroll/models/data/utf8.h>
#include <unroll/models/metrics/entities.h>

namespace unroll::inline UNROLL_ISA {
namespace {

std::vector<std::string_view> columns_of(std::string_view line) {
  const bool tabs = line.find('\t') != line.npos;
  std::vector<std::string_view> columns = split_line(line, tabs ? '\t' : ' ');
  if (!tabs) std::erase_if(columns, [](std::string_view column) { return column.empty(); });
  return columns;
}

/// What is wrong with a line; empty if nothing is. `width` is the number of columns, 0 if it is not yet known.
std::string problem_of(std::string_view line, const std::vector<std::string_view>& columns, std::size_t width) {
  if (columns.size() < 2) return "a token and a tag are expected";
  if (width != 0 && columns.size() != width)
    return fmt::format("{} columns where the first line has {}", columns.size(), width);
  if (columns.front().empty()) return "the token is empty";
  try {
    count_characters(line, "the line");
    parse_tag(columns.back());
  } catch (const ValueError& error) { return error.what(); }
  return "";
}

/// The letters and the colon with which a token of WikiANN begins, if it does.
std::string_view language_of(std::string_view token) {
  const std::size_t colon = token.find(':');
  const auto letters = token.substr(0, std::min(colon, token.size()));
  const bool is_code = (colon == 2 || colon == 3) && colon + 1 < token.size() &&
                       std::all_of(letters.begin(), letters.end(), [](char c) { return c >= 'a' && c <= 'z'; });
  return is_code ? token.substr(0, colon + 1) : std::string_view();
}

void drop_language(std::vector<TaggedSentence>& sentences) {
  if (sentences.empty()) return;
  const std::string language(language_of(sentences.front().tokens.front()));
  for (const TaggedSentence& s : sentences)
    for (const std::string& token : s.tokens)
      if (language.empty() || language_of(token) != language) return;
  for (TaggedSentence& s : sentences)
    for (std::string& token : s.tokens) token.erase(0, language.size());
}

std::vector<TaggedSentence> read_one(const std::string& file, BadLines& bad) {
  std::vector<TaggedSentence> sentences;
  TaggedSentence sentence;
  const auto end_sentence = [&] {
    const bool document = sentence.tokens.size() == 1 && sentence.tokens[0] == "-DOCSTART-";
    if (!sentence.tokens.empty() && !document) sentences.push_back(std::move(sentence));
    sentence = {};
  };
  LineReader lines(file);
  std::string_view line;
  std::size_t width = 0;
  while (lines.next(line)) {
    if (line.find_first_not_of(" \t") == line.npos) {
      end_sentence();
      continue;
    }
    const auto columns = columns_of(line);
    if (const std::string problem = problem_of(line, columns, width); !problem.empty()) {
      bad.report(lines.place(), problem);
      continue;
    }
    width = columns.size();
    sentence.tokens.emplace_back(columns.front());
    sentence.tags.emplace_back(columns.back());
  }
  end_sentence();
  drop_language(sentences);
  return sentences;
}

/// Tags for the entities of `tags`, letters[0] for a token alone, then for the first, those between, and the last.
std::vector<std::string> retagged(const std::vector<std::string>& tags, std::string_view letters) {
  std::vector<std::string> result(tags.size(), "O");
  for (const Entity& e : find_entities(tags))
    for (Index t = e.first; t < e.end; ++t) {
      const bool first = t == e.first, last = t + 1 == e.end;
      const char letter = letters[first && last ? 0 : first ? 1 : last ? 3 : 2];
      result[static_cast<std::size_t>(t)] = fmt::format("{}-{}", letter, e.type);
    }
  return result;
}

}  // namespace

std::vector<TaggedSentence> read_conll(const std::vector<std::string>& files, BadLines& bad) {
  std::vector<TaggedSentence> all;
  for (const std::string& file : files) {
    std::vector<TaggedSentence> sentences = read_one(file, bad);
    std::move(sentences.begin(), sentences.end(), std::back_inserter(all));
  }
  return all;
}

std::vector<std::string> to_bioes(const std::vector<std::string>& tags) { return retagged(tags, "SBIE"); }
std::vector<std::string> to_bio(const std::vector<std::string>& tags) { return retagged(tags, "BBII"); }

}  // namespace unroll::inline UNROLL_ISA
