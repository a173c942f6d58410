#include <unroll/models/tasks/sentiment_data.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include <unroll/models/data/brackets.h>
#include <unroll/models/data/csv.h>
#include <unroll/models/data/numbers.h>
#include <unroll/models/data/utf8.h>

namespace unroll::inline UNROLL_ISA {
namespace {

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

bool is_word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || static_cast<unsigned char>(c) >= 0x80;
}

/// Letters, digits and signs between them; the contraction at its end apart.
void add_word(std::vector<std::string>& words, const std::string& word) {
  std::size_t cut = word.find('\'');
  if (cut != word.npos && cut > 1 && word.substr(cut - 1) == "n't") --cut;
  words.push_back(word.substr(0, cut));
  if (cut != word.npos) words.push_back(word.substr(cut));
}

/// A whole number in 0 .. most, or -1.
std::int32_t whole_number(std::string_view text, std::int32_t most) {
  const std::int32_t value = number_of<std::int32_t>(text).value_or(-1);
  return value >= 0 && value <= most ? value : -1;
}

/// The class of a tree's label 0 .. 4, or -1.
std::int32_t class_of(std::int32_t label, bool five) {
  if (five || label < 0) return label;
  return label == 2 ? -1 : label > 2 ? 1 : 0;
}

}  // namespace

std::span<const std::string> sentiment_labels(std::string_view target) {
  static const std::map<std::string, std::vector<std::string>, std::less<>> labels{
      {"stars", {"1 star", "2 stars", "3 stars", "4 stars", "5 stars"}},
      {"recommended", {"not recommended", "recommended"}},
      {"sentiment5", {"very negative", "negative", "neutral", "positive", "very positive"}},
      {"sentiment2", {"negative", "positive"}}};
  const auto found = labels.find(target);
  require<ValueError>(found != labels.end(),
                      "sentiment: the target '{}' is none of stars, recommended, sentiment5 and sentiment2", target);
  return found->second;
}

SentimentSymbols SentimentSymbols::learn(const std::vector<Opinion>& opinions, Index min_count) {
  SymbolCounts words, labels;
  for (const Opinion& opinion : opinions) {
    require<ValueError>(opinion.target == opinions[0].target, "sentiment: {} and {} cannot be learned together",
                        opinion.target, opinions[0].target);
    for (const std::string& word : opinion.words) ++words[word];
    ++labels[std::to_string(opinion.label)];
  }
  const auto most =
      std::max_element(labels.begin(), labels.end(), [](auto& a, auto& b) { return a.second < b.second; });
  return {opinions[0].target, std::stoi(most->first), SymbolTable::words(words, min_count)};
}

void SentimentSymbols::encode(Opinion& opinion) const {
  require<ValueError>(opinion.target == target, "the data say {}, and the model {}", opinion.target, target);
  opinion.ids.clear();
  for (const std::string& word : opinion.words) opinion.ids.push_back(words.id(word));
}

nlohmann::json SentimentSymbols::to_json() const {
  return {{"target", target}, {"majority", majority}, {"words", words.to_json()}};
}

SentimentSymbols SentimentSymbols::from_json(const nlohmann::json& json) {
  return {json.at("target"), json.at("majority"), SymbolTable::from_json(json.at("words"))};
}

std::vector<std::string> opinion_words(std::string_view input) {
  std::vector<std::string> words;
  for (const std::string_view part : split_words(input, "text")) {
    const std::string text = lower(std::string(part));
    for (std::size_t at = 0; at < text.size();) {
      std::size_t end = at + 1;
      if (is_word_character(text[at])) {
        const auto joins = [&](std::size_t i) {
          return (text[i] == '-' || text[i] == '\'') && i + 1 < text.size() && is_word_character(text[i + 1]);
        };
        while (end < text.size() && (is_word_character(text[end]) || joins(end))) ++end;
        add_word(words, text.substr(at, end - at));
      } else {
        while (end < text.size() && text[end] == text[at]) ++end;
        words.push_back(text.substr(at, end - at));
      }
      at = end;
    }
  }
  return words;
}

std::vector<Opinion> read_reviews(const FileContent& file, const ReviewColumns& columns, std::string_view target,
                                  BadLines& bad) {
  const CsvTable table = CsvTable::read(file, bad);
  std::vector<Index> texts;
  for (const std::string_view name : split_line(columns.text, ',')) texts.push_back(table.column(name));
  const Index label = table.column(columns.label);
  const std::int32_t least = target == "stars" ? 1 : 0, most = target == "stars" ? 5 : 1;
  std::vector<Opinion> reviews;
  for (Index row = 0; row < table.rows(); ++row) {
    Opinion review;
    review.target = target;
    review.place = table.place(row);
    review.label = whole_number(table.at(row, label), most) - least;
    if (review.label < 0) {
      bad.report(table.place(row), fmt::format("{} is not a whole number in {} .. {}", columns.label, least, most));
      continue;
    }
    for (const Index column : texts) {
      const auto words = opinion_words(table.at(row, column));
      review.words.insert(review.words.end(), words.begin(), words.end());
    }
    if (review.words.empty())
      bad.leave_out("rows without text");
    else
      reviews.push_back(std::move(review));
  }
  return reviews;
}

Opinion parse_opinion_tree(std::string_view line) {
  BracketedTree tree = BracketedTree::parse(line);
  Opinion opinion;
  for (std::string& word : tree.words) opinion.words.push_back(lower(std::move(word)));
  std::vector<int> branches(tree.nodes.size());
  for (const BracketedTree::Node& node : tree.nodes) {
    require<ValueError>(node.parent < 0 || ++branches[static_cast<std::size_t>(node.parent)] <= 2,
                        "a node has more than two branches");
    opinion.phrases.push_back({node.parent, node.first, node.last, node.leaf, whole_number(node.label, 4)});
  }
  return opinion;
}

std::vector<Opinion> read_opinion_trees(FileContent file, std::string_view target, BadLines& bad) {
  std::vector<Opinion> opinions;
  LineReader lines(std::move(file));
  for (std::string_view line; lines.next(line);) {
    if (line.empty()) continue;
    try {
      Opinion opinion = parse_opinion_tree(line);
      for (Phrase& phrase : opinion.phrases) {
        require<ValueError>(phrase.label >= 0, "a label is not a whole number in 0 .. 4");
        phrase.label = class_of(phrase.label, target == "sentiment5");
      }
      opinion.target = target;
      opinion.place = lines.place();
      opinion.label = opinion.phrases[0].label;
      if (opinion.label >= 0) opinions.push_back(std::move(opinion));
    } catch (const ValueError& error) { bad.report(lines.place(), error.what()); }
  }
  return opinions;
}

std::string sentiment_target(const FileContent& file, const std::string& wanted, bool must_hold_trees) {
  const std::string_view text = without_byte_order_mark(file.text);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  const bool trees = first != text.npos && text[first] == '(';
  const std::string target = wanted != "auto" ? wanted : trees ? "sentiment5" : "stars";
  sentiment_labels(target);
  require<ValueError>(trees == target.starts_with("sentiment"), "{} holds {}, which do not say '{}'", file.path,
                      trees ? "trees" : "reviews", target);
  require<ValueError>(trees || !must_hold_trees, "{} holds no trees", file.path);
  return target;
}

std::vector<Passage> whole_passages(std::span<const Opinion* const> opinions) {
  std::vector<Passage> passages;
  for (const Opinion* o : opinions) passages.push_back({o->ids, o->label});
  return passages;
}

void draw_passages(const Opinion& opinion, Index count, Rng& rng, std::vector<Passage>& to) {
  const auto& phrases = opinion.phrases;
  for (Index k = 0; k < (phrases.empty() ? 0 : count); ++k) {
    const Phrase& phrase = phrases[static_cast<std::size_t>(rng.below(static_cast<Index>(phrases.size())))];
    if (phrase.label < 0) continue;
    const auto first = opinion.ids.begin() + phrase.first;
    to.push_back({{first, first + (phrase.last - phrase.first)}, phrase.label});
  }
}

OpinionTrees trees_of(std::span<const Opinion* const> opinions) {
  OpinionTrees trees;
  for (const Opinion* o : opinions) {
    const auto root = static_cast<Index>(trees.parents.size());
    for (const Phrase& phrase : o->phrases) {
      trees.parents.push_back(phrase.parent < 0 ? -1 : root + phrase.parent);
      trees.words.push_back(phrase.leaf ? o->ids[static_cast<std::size_t>(phrase.first)] : -1);
      trees.labels.push_back(phrase.label);
    }
  }
  return trees;
}

namespace {

/// Words of which a few in a row say something.
struct MadeUp {
  std::vector<std::string> words;
  std::size_t from, to;  // those that do: from .. to - 1
  int label;
};

MadeUp make_up(Rng& rng) {
  static constexpr std::array<std::array<const char*, 4>, 5> saying{{{"awful", "horrible", "worthless", "dreadful"},
                                                                     {"dull", "weak", "cheap", "clumsy"},
                                                                     {"common", "usual", "average", "plain"},
                                                                     {"nice", "pleasant", "good", "pretty"},
                                                                     {"superb", "wonderful", "perfect", "brilliant"}}};
  static constexpr std::array<const char*, 10> filling{"the", "thing", "is", "a",   "they",
                                                       "say", "of",    "it", "and", "here"};
  MadeUp m;
  m.label = static_cast<int>(rng.below(5));
  const Index before = rng.below(6), after = rng.below(6);
  const auto fill = [&](Index n) {
    for (; n > 0; --n) m.words.emplace_back(filling[static_cast<std::size_t>(rng.below(10))]);
  };
  fill(before);
  m.from = m.words.size();
  const bool negated = rng.uniform() < 0.3;
  if (negated) m.words.emplace_back("not");
  m.words.emplace_back(
      saying[static_cast<std::size_t>(negated ? 4 - m.label : m.label)][static_cast<std::size_t>(rng.below(4))]);
  m.to = m.words.size();
  fill(after);
  return m;
}

/// Each word beside the tree of those behind it.
std::string tree_of(const MadeUp& m) {
  std::string text, end;
  const std::size_t last = m.words.size() - 1;
  for (std::size_t i = 0; i <= last; ++i) {
    const bool negated = m.to - m.from == 2;
    const int above = i <= m.from ? m.label : i < m.to ? 4 - m.label : 2;
    const int own = i + 1 == m.to ? (negated ? 4 - m.label : m.label) : 2;
    text += i < last ? fmt::format("({} ({} {}) ", above, own, m.words[i]) : fmt::format("({} {})", own, m.words[i]);
    if (i < last) end += ')';
  }
  return text + end;
}

}  // namespace

void write_opinions(const std::string& file, std::string_view form, Index count, Rng& rng) {
  std::ofstream out(file);
  require<FileError>(out.good(), "{} cannot be written", file);
  const bool reviews = form == "reviews";
  if (reviews) out << "Title,Review Text,Rating,Recommended IND\n";
  for (Index i = 0; i < count; ++i) {
    const MadeUp m = make_up(rng);
    if (reviews)
      out << fmt::format("Number {},{},{},{}\n", i, csv_field(fmt::format("{}, I say!", fmt::join(m.words, " "))),
                         m.label + 1, m.label > 1 ? 1 : 0);
    else
      out << tree_of(m) << "\n";
  }
  require<FileError>(out.flush().good(), "{} cannot be written", file);
}

}  // namespace unroll::inline UNROLL_ISA
