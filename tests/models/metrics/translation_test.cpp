#include <doctest/doctest.h>

#include <models/metrics/metric_fixture.h>
#include <cmath>

#include <unroll/models/metrics/translation.h>

using namespace unroll;

namespace {

using Strings = std::vector<std::string>;
using References = std::vector<Strings>;

doctest::Approx near(double x) { return doctest::Approx(x).epsilon(1e-11); }

}  // namespace

TEST_CASE("translation: BLEU of a sentence agrees with the calculation by hand") {
  // Six of seven words, four of six pairs, two of five triples, one of four quadruples; the reference has eight words.
  const BleuScore bleu = corpus_bleu(Strings{"a b c d x e f"}, References{{"a b c d y e f g"}});
  CHECK(bleu.correct == std::array<std::int64_t, 4>{6, 4, 2, 1});
  CHECK(bleu.total == std::array<std::int64_t, 4>{7, 6, 5, 4});
  CHECK(bleu.brevity_penalty == near(std::exp(1 - 8. / 7)));
  CHECK(bleu.score == near(100 * std::exp(1 - 8. / 7) * std::pow(6. / 7 * 4 / 6 * 2 / 5 * 1 / 4, 0.25)));
}

TEST_CASE("translation: matches are clipped by the reference that has most of them") {
  const BleuScore bleu = corpus_bleu(Strings{"the the the the the the the"},
                                     References{{"the cat is on the mat", "there is a cat on the mat"}});
  CHECK(bleu.correct[0] == 2);
  CHECK(bleu.total[0] == 7);
  CHECK(bleu.reference_length == 7);
  // Orders without a match: 1/2 and 1/4 and 1/8 of one n-gram.
  CHECK(bleu.precisions[0] == near(200. / 7));
  CHECK(bleu.precisions[1] == near(100. / (2 * 6)));
  CHECK(bleu.precisions[3] == near(100. / (8 * 4)));
}

TEST_CASE("translation: of two references equally near the shorter counts") {
  CHECK(corpus_bleu(Strings{"a b c"}, References{{"a b c d", "a b"}}).reference_length == 2);
  CHECK(corpus_bleu(Strings{"a b c"}, References{{"a b c d", "a"}}).reference_length == 4);
}

TEST_CASE("translation: short sentences have a score by effective order alone") {
  CHECK(sentence_bleu("two words", Strings{"two words"}).score == near(100));
  CHECK(corpus_bleu(Strings{"two words"}, References{{"two words"}}).score == 0);
}

TEST_CASE("translation: BLEU agrees with sacreBLEU, signature and text too") {
  for (const auto& c : stored_metrics("translation")) {
    const auto hypotheses = c.at("hypotheses").get<Strings>();
    const auto references = c.at("references").get<References>();
    CAPTURE(c.at("hypotheses").dump());
    const auto& expected = c.at("bleu");
    Bleu bleu;
    for (std::size_t i = 0; i < hypotheses.size(); ++i) bleu.add(hypotheses[i], references[i]);
    const BleuScore score = bleu.score();
    CHECK(score.score == near(expected.at("score")));
    CHECK(score.brevity_penalty == near(expected.at("brevity_penalty")));
    CHECK(score.length == expected.at("length").get<std::int64_t>());
    CHECK(score.reference_length == expected.at("reference_length").get<std::int64_t>());
    for (std::size_t n = 0; n < 4; ++n) {
      CHECK(score.correct[n] == expected.at("correct")[n].get<std::int64_t>());
      CHECK(score.total[n] == expected.at("total")[n].get<std::int64_t>());
      CHECK(score.precisions[n] == near(expected.at("precisions")[n]));
    }
    CHECK(bleu.signature() == expected.at("signature").get<std::string>());
    CHECK(score.text() == expected.at("text").get<std::string>());
    CHECK(score.text(bleu.signature()) == expected.at("signed_text").get<std::string>());
    CHECK(corpus_bleu(hypotheses, references).score == score.score);
    for (std::size_t i = 0; i < hypotheses.size(); ++i)
      CHECK(sentence_bleu(hypotheses[i], references[i]).score == near(expected.at("sentences")[i]));
  }
}

TEST_CASE("translation: chrF of a word agrees with the calculation by hand") {
  // Of abc against abd: characters 2 of 3, pairs 1 of 2, triples 0 of 1, on either side.
  CHECK(sentence_chrf("ab c", Strings{"abd"}) == near(100 * (2. / 3 + 1. / 2) / 3));
  // Of ab against abc, recall counting twice as much: precision 1, 1, recall 2/3, 1/2.
  const double recall = (2. / 3 + 1. / 2) / 2;
  CHECK(sentence_chrf("ab", Strings{"abc"}) == near(100 * 5 * recall / (4 + recall)));
  // A character is a code point: of two one is right.
  CHECK(sentence_chrf("éx", Strings{"éy"}, {.char_order = 1}) == near(50));
}

TEST_CASE("translation: chrF and chrF++ agree with sacreBLEU, signature and text too") {
  for (const auto& c : stored_metrics("translation")) {
    const auto hypotheses = c.at("hypotheses").get<Strings>();
    const auto references = c.at("references").get<References>();
    CAPTURE(c.at("hypotheses").dump());
    for (const auto& expected : c.at("chrf")) {
      const ChrfOptions options{.char_order = expected.at("char_order"),
                                .word_order = expected.at("word_order"),
                                .beta = expected.at("beta")};
      Chrf chrf(options);
      for (std::size_t i = 0; i < hypotheses.size(); ++i) chrf.add(hypotheses[i], references[i]);
      CHECK(chrf.score() == near(expected.at("score")));
      CHECK(chrf.signature() == expected.at("signature").get<std::string>());
      CHECK(chrf.text() == expected.at("signed_text").get<std::string>());
      CHECK(chrf.text(false) == expected.at("text").get<std::string>());
      CHECK(corpus_chrf(hypotheses, references, options) == chrf.score());
      for (std::size_t i = 0; i < hypotheses.size(); ++i)
        CHECK(sentence_chrf(hypotheses[i], references[i], options) == near(expected.at("sentences")[i]));
    }
  }
}

TEST_CASE("translation: what does not fit is refused, and nothing is counted") {
  CHECK_THROWS_AS(corpus_bleu(Strings{"a", "b"}, References{{"a"}}), ValueError);
  CHECK_THROWS_AS(corpus_bleu(Strings{}, References{}), ValueError);
  CHECK_THROWS_AS(corpus_bleu(Strings{"a"}, References{{}}), ValueError);
  CHECK_THROWS_AS(corpus_chrf(Strings{"a", "b"}, References{{"a"}}), ValueError);
  CHECK_THROWS_AS(corpus_chrf(Strings{}, References{}), ValueError);
  CHECK_THROWS_AS(corpus_chrf(Strings{"a"}, References{{}}), ValueError);
  CHECK_THROWS_AS(Chrf({.char_order = 0}), ValueError);
  CHECK_THROWS_AS(Chrf({.word_order = -1}), ValueError);
  CHECK_THROWS_AS(Chrf({.beta = 0}), ValueError);
  Bleu bleu;
  Chrf chrf;
  CHECK_THROWS_AS(bleu.add("a", Strings{"a", "\x80"}), ValueError);
  CHECK_THROWS_AS(chrf.add("a", Strings{"a", "\x80"}), ValueError);
  CHECK_THROWS_AS(chrf.add("\xFF", Strings{"a"}), ValueError);
  CHECK_THROWS_AS(bleu.score(), ValueError);
  CHECK_THROWS_AS(bleu.signature(), ValueError);
  CHECK_THROWS_AS(chrf.score(), ValueError);
  CHECK_THROWS_AS(chrf.signature(), ValueError);
}
