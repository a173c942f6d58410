#include <unroll/models/data/brackets.h>

#include <array>
#include <utility>

#include <unroll/models/data/utf8.h>

namespace unroll::inline UNROLL_ISA {
namespace {

constexpr std::string_view blanks = " \t\r\n";

/// The word that the Treebank writes as `token`.
std::string plain_word(std::string_view token) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 8> written{{{"-LRB-", "("},
                                                                                         {"-RRB-", ")"},
                                                                                         {"-LSB-", "["},
                                                                                         {"-RSB-", "]"},
                                                                                         {"-LCB-", "{"},
                                                                                         {"-RCB-", "}"},
                                                                                         {"``", "\""},
                                                                                         {"''", "\""}}};
  for (const auto& [code, word] : written)
    if (token == code) return std::string(word);
  std::string word;
  for (std::size_t i = 0; i < token.size(); ++i)
    if (token[i] != '\\' || i + 1 == token.size() || (token[i + 1] != '/' && token[i + 1] != '*')) word += token[i];
  return word;
}

class BracketParser {
 public:
  explicit BracketParser(std::string_view text) : text_(text) {}

  BracketedTree parse() {
    split_characters(text_, "brackets");  // throws what is not UTF-8
    skip_blanks();
    expect(at_ < text_.size() && text_[at_] == '(', "a tree begins with (");
    Index node = -1;  // the one that is open
    do {
      if (text_[at_] == '(')
        node = open(node);
      else if (text_[at_] == ')')
        node = close(node);
      else
        add_word(node);
      skip_blanks();
      expect(node < 0 || at_ < text_.size(), "a bracket is not closed");
    } while (node >= 0);
    expect(at_ == text_.size(), "the tree is over here");
    return std::move(tree_);
  }

 private:
  BracketedTree::Node& at(Index node) { return tree_.nodes[static_cast<std::size_t>(node)]; }

  Index open(Index parent) {
    if (parent >= 0) {
      expect(!at(parent).leaf || at(parent).first == words(), "a node has one word or children, not both");
      at(parent).leaf = false;
    }
    ++at_;
    tree_.nodes.push_back({std::string(token()), parent, words(), words(), true});
    return static_cast<Index>(tree_.nodes.size()) - 1;
  }

  Index close(Index node) {
    expect(at(node).first < words(), "a node has neither word nor children");
    at(node).last = words();
    ++at_;
    return at(node).parent;
  }

  void add_word(Index node) {
    expect(at(node).leaf && at(node).first == words(), "a node has one word or children, not more");
    tree_.words.push_back(plain_word(token()));
  }

  std::string_view token() {
    const std::size_t first = at_;
    at_ = std::min(text_.find_first_of(" \t\r\n()", at_), text_.size());
    return text_.substr(first, at_ - first);
  }

  void skip_blanks() { at_ = std::min(text_.find_first_not_of(blanks, at_), text_.size()); }
  Index words() const { return static_cast<Index>(tree_.words.size()); }
  void expect(bool good, const char* what) const {
    require<ValueError>(good, "brackets: column {}: {}", at_ + 1, what);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  BracketedTree tree_;
};

}  // namespace

BracketedTree BracketedTree::parse(std::string_view text) { return BracketParser(text).parse(); }

}  // namespace unroll::inline UNROLL_ISA
