#include <doctest/doctest.h>

#include <models/metrics/metric_fixture.h>
#include <map>
#include <random>

#include <unroll/models/metrics/entities.h>

using namespace unroll;

namespace {

using Tags = std::vector<std::string>;

/// conlleval as it is: one pass over the tokens, with rules for where a chunk ends and where one starts, and no list of
/// chunks (Tjong Kim Sang's script, in the form that also knows E and S).
struct Conlleval {
  std::map<std::string, Detections> types;

  static bool ends(char before, char now, const std::string& before_type, const std::string& type) {
    if (before == 'E' || before == 'S') return true;
    if ((before == 'B' || before == 'I') && (now == 'B' || now == 'S' || now == 'O')) return true;
    return before != 'O' && before_type != type;
  }
  static bool starts(char before, char now, const std::string& before_type, const std::string& type) {
    if (now == 'B' || now == 'S') return true;
    if ((before == 'E' || before == 'S' || before == 'O') && (now == 'E' || now == 'I')) return true;
    return now != 'O' && before_type != type;
  }
  void add(Tags truth, Tags predicted) {
    truth.emplace_back("O"), predicted.emplace_back("O");
    bool in_correct = false;
    char t0 = 'O', p0 = 'O';
    std::string tt0, pt0;
    for (std::size_t i = 0; i < truth.size(); ++i) {
      const char t = truth[i][0], p = predicted[i][0];
      const std::string tt = t == 'O' ? "" : truth[i].substr(2), pt = p == 'O' ? "" : predicted[i].substr(2);
      if (in_correct) {
        const bool true_end = ends(t0, t, tt0, tt), predicted_end = ends(p0, p, pt0, pt);
        if (true_end && predicted_end && tt0 == pt0) {
          in_correct = false;
          ++types[tt0].correct;
        } else if (true_end != predicted_end || tt != pt) {
          in_correct = false;
        }
      }
      const bool true_start = starts(t0, t, tt0, tt), predicted_start = starts(p0, p, pt0, pt);
      if (true_start && predicted_start && tt == pt) in_correct = true;
      if (true_start) ++types[tt].actual;
      if (predicted_start) ++types[pt].predicted;
      t0 = t, p0 = p, tt0 = tt, pt0 = pt;
    }
  }
};

doctest::Approx near(double x) { return doctest::Approx(x).epsilon(1e-12); }

}  // namespace

TEST_CASE("entities: a tag is a place and a type") {
  CHECK(parse_tag("O").place == 'O');
  CHECK(parse_tag("O").type == "");
  CHECK(parse_tag("B-PER").place == 'B');
  CHECK(parse_tag("B-PER").type == "PER");
  CHECK(parse_tag("S-work-of-art").type == "work-of-art");
  CHECK(parse_tag("I").type == "_");
  for (const char* wrong : {"", "o", "X-PER", "B-", "BPER", "O-PER", "B_PER", "-PER", "U-PER"})
    CHECK_THROWS_AS(parse_tag(wrong), ValueError);
}

TEST_CASE("entities: one sentence in three schemes has the same entities") {
  const std::vector<Entity> expected{{"PER", 0, 2}, {"PER", 2, 3}, {"LOC", 3, 4}, {"ORG", 5, 8}};
  CHECK(find_entities(Tags{"B-PER", "I-PER", "B-PER", "B-LOC", "O", "B-ORG", "I-ORG", "I-ORG"}) == expected);
  CHECK(find_entities(Tags{"I-PER", "I-PER", "B-PER", "I-LOC", "O", "I-ORG", "I-ORG", "I-ORG"}) == expected);
  CHECK(find_entities(Tags{"B-PER", "E-PER", "S-PER", "S-LOC", "O", "B-ORG", "I-ORG", "E-ORG"}) == expected);
  CHECK(find_entities(Tags{}).empty());
}

TEST_CASE("entities: ill-formed sequences have the reading of conlleval") {
  CHECK(find_entities(Tags{"O", "I-A", "I-B"}) == std::vector<Entity>{{"A", 1, 2}, {"B", 2, 3}});
  CHECK(find_entities(Tags{"E-A", "E-A"}) == std::vector<Entity>{{"A", 0, 1}, {"A", 1, 2}});
  CHECK(find_entities(Tags{"S-A", "I-A", "E-A"}) == std::vector<Entity>{{"A", 0, 1}, {"A", 1, 3}});
  CHECK(find_entities(Tags{"B-A", "E-A", "I-A"}) == std::vector<Entity>{{"A", 0, 2}, {"A", 2, 3}});
}

TEST_CASE("entities: scores of two sentences agree with the calculation by hand") {
  EntityScores scores;
  scores.add(Tags{"B-PER", "I-PER", "O", "B-LOC"}, Tags{"B-PER", "I-PER", "O", "B-PER"});
  scores.add(Tags{"B-LOC", "I-LOC"}, Tags{"B-LOC", "O"});
  CHECK(scores.of("PER") == Detections{.correct = 1, .predicted = 2, .actual = 1});
  CHECK(scores.of("LOC") == Detections{.correct = 0, .predicted = 1, .actual = 2});
  CHECK(scores.of("ORG") == Detections{});
  CHECK(scores.total() == Detections{.correct = 1, .predicted = 3, .actual = 3});
  CHECK(scores.macro().f1 == near((2. / 3 + 0) / 2));
  CHECK(scores.tag_accuracy() == near(4. / 6));
  CHECK(scores.report() ==
        "processed 6 tokens with 3 phrases; found: 3 phrases; correct: 1.\n"
        "accuracy:  66.67%; precision:  33.33%; recall:  33.33%; FB1:  33.33\n"
        "              LOC: precision:   0.00%; recall:   0.00%; FB1:   0.00  1\n"
        "              PER: precision:  50.00%; recall: 100.00%; FB1:  66.67  2\n");
  EntityScores twice = scores;
  twice += scores;
  CHECK(twice.total() == Detections{.correct = 2, .predicted = 6, .actual = 6});
  CHECK(twice.tag_accuracy() == scores.tag_accuracy());
}

TEST_CASE("entities: entities and scores agree with seqeval") {
  for (const auto& c : stored_metrics("entities")) {
    const auto truth = c.at("truth").get<std::vector<Tags>>(), predicted = c.at("predicted").get<std::vector<Tags>>();
    EntityScores scores;
    for (std::size_t i = 0; i < truth.size(); ++i) {
      CAPTURE(nlohmann::json(predicted[i]).dump());
      scores.add(truth[i], predicted[i]);
      std::vector<Entity> expected;
      for (const auto& e : c.at("entities")[i]) expected.push_back({e[0], e[1], e[2].get<Index>() + 1});
      CHECK(find_entities(predicted[i]) == expected);
    }
    const auto& types = c.at("types");
    CHECK(scores.types().size() == types.size());
    for (std::size_t k = 0; k < types.size(); ++k) {
      const Detections of = scores.of(types[k].get<std::string>());
      CHECK(of.precision() == near(c.at("each")[0][k]));
      CHECK(of.recall() == near(c.at("each")[1][k]));
      CHECK(of.f1() == near(c.at("each")[2][k]));
      CHECK(of.actual == c.at("each")[3][k].get<std::int64_t>());
    }
    CHECK(scores.total().precision() == near(c.at("micro")[0]));
    CHECK(scores.total().recall() == near(c.at("micro")[1]));
    CHECK(scores.total().f1() == near(c.at("micro")[2]));
    CHECK(scores.macro().precision == near(c.at("macro")[0]));
    CHECK(scores.macro().recall == near(c.at("macro")[1]));
    CHECK(scores.macro().f1 == near(c.at("macro")[2]));
  }
}

TEST_CASE("entities: counts agree with conlleval's pass over the tokens") {
  const Tags alphabet{"O", "B-A", "I-A", "E-A", "S-A", "B-B", "I-B", "E-B", "S-B"};
  std::mt19937 random(1);
  for (int trial = 0; trial < 300; ++trial) {
    EntityScores scores;
    Conlleval reference;
    for (int sentence = 0; sentence < 3; ++sentence) {
      Tags truth, predicted;
      for (std::size_t i = random() % 12; i > 0; --i) {
        truth.push_back(alphabet[random() % alphabet.size()]);
        predicted.push_back(random() % 4 == 0 ? alphabet[random() % alphabet.size()] : truth.back());
      }
      scores.add(truth, predicted);
      reference.add(truth, predicted);
    }
    CHECK(scores.types().size() == reference.types.size());
    for (const auto& [type, counts] : reference.types) CHECK(scores.of(type) == counts);
  }
}

TEST_CASE("entities: what does not fit is refused, and nothing is counted") {
  EntityScores scores;
  CHECK_THROWS_AS(scores.add(Tags{"O"}, Tags{}), ValueError);
  CHECK_THROWS_WITH_AS(scores.add(Tags{"B-A", "O"}, Tags{"O", "Q"}),
                       "entities: tag 'Q' at position 1 is neither O nor B, I, E or S with a type, as in B-PER",
                       ValueError);
  CHECK(scores.types().empty());
  CHECK_THROWS_AS(scores.macro(), ValueError);
  CHECK_THROWS_AS(scores.tag_accuracy(), ValueError);
  CHECK_THROWS_AS(scores.report(), ValueError);
  CHECK(scores.total().f1() == 0);
}
