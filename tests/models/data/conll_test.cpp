#include <doctest/doctest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <unroll/models/data/conll.h>

using namespace unroll;

namespace {

using Words = std::vector<std::string>;

struct File {
  std::string path;
  explicit File(const std::string& text)
      : path(std::filesystem::temp_directory_path() / fmt::format("unroll-conll-{}", ::getpid())) {
    std::ofstream(path, std::ios::binary) << text;
  }
  ~File() { std::filesystem::remove(path); }
};

std::vector<TaggedSentence> sentences_of(const std::string& text) {
  const File file(text);
  BadLines bad;
  return read_conll({file.path}, bad);
}

/// What is said of a text, without the name of the file.
std::string complaint_about(const std::string& text) {
  const File file(text);
  BadLines bad;
  try {
    read_conll({file.path}, bad);
  } catch (const FileError& error) { return std::string(error.what()).substr(file.path.size()); }
  return "";
}

}  // namespace

TEST_CASE("conll: tabs or spaces part the columns, lines of white space the sentences") {
  const auto tabs = sentences_of("Ada\tB-PER\nLovelace\tI-PER\r\n\t\nsleeps \tO");
  REQUIRE(tabs.size() == 2);
  CHECK(tabs[0].tokens == Words{"Ada", "Lovelace"});
  CHECK(tabs[0].tags == Words{"B-PER", "I-PER"});
  CHECK(tabs[1].tokens == Words{"sleeps "});
  const auto spaces = sentences_of("-DOCSTART- -X- O\n\n\nRome  NNP I-LOC\n. . O\n\n\n");
  REQUIRE(spaces.size() == 1);
  CHECK(spaces[0].tokens == Words{"Rome", "."});
  CHECK(spaces[0].tags == Words{"I-LOC", "O"});
  CHECK(sentences_of("").empty());
  CHECK(sentences_of("\n \n").empty());
}

TEST_CASE("conll: the language before each token of a file is dropped, a colon in some is not") {
  CHECK(sentences_of("en:Rome\tO\n\nen::\tO\n")[1].tokens == Words{":"});
  CHECK(sentences_of("en:Rome\tO\nde:Rom\tO\n")[0].tokens == Words{"en:Rome", "de:Rom"});
  CHECK(sentences_of("re:\tO\n")[0].tokens == Words{"re:"});
}

TEST_CASE("conll: what is malformed is reported with its line") {
  CHECK(complaint_about("a\tO\nb\n") == ":2: a token and a tag are expected");
  CHECK(complaint_about("a O\n\nb x O\n") == ":3: 3 columns where the first line has 2");
  CHECK(complaint_about("\tO\n") == ":1: the token is empty");
  CHECK(complaint_about("a\t\n") == ":1: tag '' is neither O nor B, I, E or S with a type, as in B-PER");
  CHECK(complaint_about("a\tX-PER\n") == ":1: tag 'X-PER' is neither O nor B, I, E or S with a type, as in B-PER");
  CHECK(complaint_about("a\xFF\tO\n") == ":1: the line: invalid UTF-8 at byte 1");
  CHECK(complaint_about(std::string("\0\x7F\xC0\n", 4)) == ":1: a token and a tag are expected");
  BadLines bad;
  CHECK_THROWS_AS(read_conll({"/there/is/no/such.conll"}, bad), FileError);
}

TEST_CASE("conll: malformed lines can be left out") {
  const File file("a\tO\nb\nc\tB-X\n\nd\n\n");
  BadLines bad(true);
  const auto sentences = read_conll({file.path}, bad);
  REQUIRE(sentences.size() == 1);
  CHECK(sentences[0].tokens == Words{"a", "c"});
  CHECK(bad.count() == 2);
}

TEST_CASE("conll: all schemes become BIOES, and BIO again") {
  const Words bio{"B-A", "I-A", "I-A", "O", "B-A", "B-A", "B-B", "I-B"};
  const Words bioes{"B-A", "I-A", "E-A", "O", "S-A", "S-A", "B-B", "E-B"};
  CHECK(to_bioes(bio) == bioes);
  CHECK(to_bioes(bioes) == bioes);
  CHECK(to_bio(bioes) == bio);
  CHECK(to_bioes({"I-A", "I-A", "I-B", "O", "I-A"}) == Words{"B-A", "E-A", "S-B", "O", "S-A"});
  CHECK(to_bioes({}).empty());
}
