#include <doctest/doctest.h>

#include <models/tasks/task_run.h>
#include <unroll/models/data/parallel_text.h>

using namespace unroll;

namespace {

using Words = std::vector<std::string>;

std::string written(const TaskRun& folder, const std::string& name, const std::string& text) {
  folder.write(name, text);
  return folder.path(name);
}

/// What is said of files, without the name of the folder.
std::string complaint_about(const TaskRun& folder, const Words& files) {
  BadLines bad;
  try {
    read_parallel_text(files, bad);
  } catch (const FileError& error) {
    std::string text = error.what();
    const std::string prefix = folder.path("");
    for (std::size_t at; (at = text.find(prefix)) != std::string::npos;) text.erase(at, prefix.size());
    return text;
  }
  return "";
}

}  // namespace

TEST_CASE("parallel text: columns of one file, or the lines of two") {
  const TaskRun folder("translate");
  BadLines bad;
  const auto pairs = read_parallel_text(
      {written(folder, "columns", "Go.\tVa !\nRun!\tCours !\tby somebody\r\n"),
       written(folder, "source", "Ein Haus\nEin Hund"), written(folder, "target", "a house\na dog\n")},
      bad);
  REQUIRE(pairs.size() == 4);
  CHECK(pairs[0].source == "Go.");
  CHECK(pairs[0].target == "Va !");
  CHECK(pairs[1].target == "Cours !");
  CHECK(pairs[3].source == "Ein Hund");
  CHECK(pairs[3].target == "a dog");
}

TEST_CASE("parallel text: what cannot be understood is named with its place, or left out and counted") {
  const TaskRun folder("translate");
  const std::string bad_columns = written(folder, "a", "Go.\tVa !\nRun!\nHi.\tSalut.\n"),
                    empty_side = written(folder, "b", "Go.\t \n"), rubbish = written(folder, "c", "Go.\t\xFF\xFE\n"),
                    three = written(folder, "d", "x\ny\nz\n"), two = written(folder, "e", "u\nv\n"),
                    none = written(folder, "f", "");
  CHECK(complaint_about(folder, {bad_columns}) ==
        "a:2: a sentence, a tab and its translation are expected, not 1 columns");
  CHECK(complaint_about(folder, {empty_side}) ==
        "b:1: a sentence and its translation are expected, and one of them is empty");
  CHECK(complaint_about(folder, {rubbish}) == "c:1: the text is not UTF-8");
  CHECK(complaint_about(folder, {three, two}) == "d:3: e ends before this line");
  CHECK(complaint_about(folder, {two, three}) == "d:3: e ends before this line");
  CHECK(complaint_about(folder, {three}) ==
        "d: there is no tab in the first line, and no second file with the translations");
  CHECK(complaint_about(folder, {three, two, rubbish, none}) ==
        "d, e, f: files without a tab in the first line go in pairs, SOURCE TARGET, and these are 3");
  CHECK(complaint_about(folder, {none, two}) == "e:1: f ends before this line");
  CHECK(complaint_about(folder, {none, none}) == "");

  BadLines skipped(true);
  const auto pairs = read_parallel_text({bad_columns, empty_side, rubbish, three, two}, skipped);
  CHECK(pairs.size() == 4);
  CHECK(skipped.count() == 4 - 1 + 1);
}

TEST_CASE("tokens: words, apostrophes and hyphens between letters, and white space with what follows") {
  CHECK(split_tokens("L'homme ne va-t-il pas (42,5 m²)?") ==
        Words{"▁L'", "homme", "▁ne", "▁va", "-t", "-il", "▁pas", "▁(", "42", ",", "5", "▁m", "²", ")", "?"});
  CHECK(split_tokens("Don’t – \"Größe\"\u202f!") == Words{"▁Don’", "t", "▁–", "▁\"", "Größe", "\"", "\u202f!"});
  CHECK(split_tokens("the dogs' - 'quoted' a-") == Words{"▁the", "▁dogs", "'", "▁-", "▁'", "quoted", "'", "▁a", "-"});
  CHECK(split_tokens("").empty());
  CHECK(split_tokens(" \t\n").empty());
  CHECK_THROWS_AS(split_tokens("a\xFFz"), ValueError);
}

TEST_CASE("tokens: joined they are the text, with single spaces") {
  for (const char* text : {"L'homme ne va-t-il pas (42,5 m²)?", "Cours\u202f! «\u00a0Où ça\u00a0?\u00a0» — là-bas…",
                           "\u202f!", "e\u0301tude", "<unk> </s> a--b ''c'' d'", "Ελλάδα, Київ; ñandú", "-", "'"})
    CHECK(join_tokens(split_tokens(text)) == text);
  CHECK(join_tokens(split_tokens("  two \t lines\n")) == "two lines");
  CHECK(join_tokens(split_tokens("a▁b")) == "a b");
  CHECK(join_tokens({}).empty());
}

TEST_CASE("lower case: of all letters that have one, and nothing else") {
  CHECK(lower_case("Ähren ÉTÉ Œuvre ΩΜΕΓΑ КИЇВ 42 ẞ") == "ähren été œuvre ωμεγα київ 42 ß");
  CHECK_THROWS_AS(lower_case("\xC3"), ValueError);
}
