#include <doctest/doctest.h>

#include <models/metrics/metric_fixture.h>
#include <algorithm>
#include <random>

#include <unroll/models/metrics/transcripts.h>

using namespace unroll;

namespace {

using Strings = std::vector<std::string>;

std::string letters(const Alignment& alignment) {
  std::string text;
  for (const Edit edit : alignment.edits) text += "=SDI"[static_cast<std::size_t>(edit)];
  return text;
}

template <class Align>
void check_transcripts(const nlohmann::json& stored, const Strings& references, const Strings& hypotheses,
                       Align&& align, const EditCounts& counts, std::string_view separator) {
  std::string shown;
  for (std::size_t i = 0; i < references.size(); ++i) {
    const Alignment alignment = align(references[i], hypotheses[i]);
    CHECK(letters(alignment) == stored.at("edits")[i].get<std::string>());
    shown += (i > 0 ? "\n" : "") + fmt::format("=== SENTENCE {} ===\n\n", i + 1) + alignment.text(separator);
  }
  CHECK(shown == stored.at("shown").get<std::string>());
  CHECK(std::vector<std::int64_t>{counts.hits, counts.substitutions, counts.deletions, counts.insertions} ==
        stored.at("counts").get<std::vector<std::int64_t>>());
  CHECK(counts.error_rate() == doctest::Approx(stored.at("rate").get<double>()).epsilon(1e-14));
}

/// The least number of edits by the recursion.
std::size_t distance(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) return a.size() + b.size();
  return std::min({distance(a.substr(1), b.substr(1)) + (a[0] != b[0]), distance(a.substr(1), b) + 1,
                   distance(a, b.substr(1)) + 1});
}

}  // namespace

TEST_CASE("transcripts: a sentence agrees with the alignment by hand") {
  const Alignment alignment = align_words("the cat sat on the mat", "so the cat sit on mat");
  CHECK(letters(alignment) == "I==S=D=");
  EditCounts counts;
  counts.add(alignment);
  CHECK(counts == EditCounts{.hits = 4, .substitutions = 1, .deletions = 1, .insertions = 1});
  CHECK(counts.reference_length() == 6);
  CHECK(counts.hypothesis_length() == 6);
  CHECK(counts.error_rate() == doctest::Approx(3. / 6));
  CHECK(counts.match_error_rate() == doctest::Approx(3. / 7));
  CHECK(counts.information_lost() == doctest::Approx(1 - 4. / 6 * 4 / 6));
  CHECK(alignment.text() ==
        "REF: ** the cat sat on the mat\n"
        "HYP: so the cat sit on *** mat\n"
        "      I           S      D    \n");
}

TEST_CASE("transcripts: characters are code points") {
  CHECK(character_error_rate("naïve", "naive") == doctest::Approx(1. / 5));
  CHECK(character_error_rate(" a b\u00A0", "a b") == 0);
  CHECK(word_error_rate("a\tb\u3000c", "a b c") == 0);
  CHECK(word_error_rate("a", "b c d") == 3);
}

TEST_CASE("transcripts: counts, alignments and pictures agree with jiwer") {
  for (const auto& c : stored_metrics("transcripts")) {
    CAPTURE(c.dump());
    const auto references = c.at("references").get<Strings>(), hypotheses = c.at("hypotheses").get<Strings>();
    const EditCounts words = word_errors(references, hypotheses);
    check_transcripts(c.at("words"), references, hypotheses, align_words, words, " ");
    CHECK(words.match_error_rate() == doctest::Approx(c.at("words").at("measures")[0].get<double>()).epsilon(1e-14));
    CHECK(words.information_lost() == doctest::Approx(c.at("words").at("measures")[1].get<double>()).epsilon(1e-14));
    check_transcripts(c.at("characters"), references, hypotheses, align_characters,
                      character_errors(references, hypotheses), "");
  }
}

TEST_CASE("transcripts: an alignment is a way from one to the other, and none is shorter") {
  std::mt19937 random(1);
  for (int trial = 0; trial < 300; ++trial) {
    std::string texts[2];
    for (std::string& text : texts)
      for (std::size_t i = random() % 7; i > 0; --i) text += "abc"[random() % 3];
    const Alignment alignment = align_characters(texts[0], texts[1]);
    EditCounts counts;
    counts.add(alignment);
    CHECK(counts.errors() == static_cast<std::int64_t>(distance(texts[0], texts[1])));
    std::string walked;
    std::size_t r = 0, h = 0;
    for (const Edit edit : alignment.edits) {
      if (edit == Edit::hit) CHECK(texts[0][r] == texts[1][h]);
      if (edit == Edit::substitution) CHECK(texts[0][r] != texts[1][h]);
      r += edit != Edit::insertion;
      h += edit != Edit::deletion;
    }
    CHECK(r == texts[0].size());
    CHECK(h == texts[1].size());
  }
}

TEST_CASE("transcripts: rates of several are of all words together") {
  const Strings references{"a b c", "", "d"}, hypotheses{"a b", "x", "d"};
  CHECK(word_error_rate(references, hypotheses) == doctest::Approx(2. / 4));
  CHECK(character_error_rate(references, hypotheses) == doctest::Approx(3. / 6));
  EditCounts sum = word_errors(Strings{"a b c"}, Strings{"a b"});
  sum += word_errors(Strings{"", "d"}, Strings{"x", "d"});
  CHECK(sum == word_errors(references, hypotheses));
}

TEST_CASE("transcripts: what does not fit is refused") {
  CHECK_THROWS_AS(word_errors(Strings{"a"}, Strings{}), ValueError);
  CHECK_THROWS_AS(word_errors(Strings{}, Strings{}), ValueError);
  CHECK_THROWS_AS(word_error_rate("", "a"), ValueError);
  CHECK_THROWS_AS(word_error_rate(" ", ""), ValueError);
  CHECK_THROWS_AS(character_error_rate(Strings{"", ""}, Strings{"", ""}), ValueError);
  CHECK_THROWS_WITH_AS(word_error_rate("a", "b\xFF"), "align: hypothesis: invalid UTF-8 at byte 1", ValueError);
  CHECK_THROWS_AS(character_error_rate("\xFF", "b"), ValueError);
  const Strings many(200000, "a"), others(200000, "b");
  CHECK_THROWS_AS(align(many, others), ValueError);
}
