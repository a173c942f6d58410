#include <doctest/doctest.h>

#include <models/metrics/metric_fixture.h>
#include <cmath>
#include <limits>

#include <unroll/models/metrics/classification.h>

using namespace unroll;

namespace {

using Ids = std::vector<std::int32_t>;

doctest::Approx near(double x) { return doctest::Approx(x).epsilon(1e-12); }

}  // namespace

TEST_CASE("classification: a matrix of three classes agrees with the calculation by hand") {
  // Row by row: 2 1 0, 0 2 1, 1 0 3.
  const ConfusionMatrix m(3, Ids{0, 0, 0, 1, 1, 1, 2, 2, 2, 2}, Ids{0, 0, 1, 1, 1, 2, 0, 2, 2, 2});
  CHECK(m.total() == 10);
  CHECK(m.count(0, 1) == 1);
  CHECK(m.count(1, 0) == 0);
  CHECK(m.of(0) == Detections{.correct = 2, .predicted = 3, .actual = 3});
  CHECK(m.of(2) == Detections{.correct = 3, .predicted = 4, .actual = 4});
  CHECK(m.accuracy() == near(0.7));
  CHECK(m.of(2).f1() == near(0.75));
  CHECK(m.macro().f1 == near((2. / 3 + 2. / 3 + 0.75) / 3));
  CHECK(m.weighted_f1() == near(0.3 * 2 / 3 + 0.3 * 2 / 3 + 0.4 * 0.75));
  CHECK(m.balanced_accuracy() == near((2. / 3 + 2. / 3 + 0.75) / 3));
  CHECK(m.matthews() == near((7. * 10 - 34) / (100 - 34)));
}

TEST_CASE("classification: the coefficient of Matthews is that of the four counts for two classes") {
  // 6 true positives, 1 false negative, 2 false positives, 3 true negatives.
  const ConfusionMatrix m(2, Ids{1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0}, Ids{1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 0, 0});
  CHECK(m.matthews() == near((6. * 3 - 2 * 1) / std::sqrt(8. * 7 * 5 * 4)));
  CHECK(m.of(1).precision() == near(6. / 8));
  CHECK(m.of(1).recall() == near(6. / 7));
}

TEST_CASE("classification: every score agrees with scikit-learn, undefined ones too") {
  for (const auto& c : stored_metrics("classification")) {
    CAPTURE(c.dump());
    const auto truth = c.at("truth").get<Ids>(), predicted = c.at("predicted").get<Ids>();
    const ConfusionMatrix m(c.at("classes"), truth, predicted);
    for (Index t = 0; t < m.classes(); ++t) {
      const auto k = static_cast<std::size_t>(t);
      for (Index p = 0; p < m.classes(); ++p)
        CHECK(m.count(t, p) == c.at("matrix")[k][static_cast<std::size_t>(p)].get<std::int64_t>());
      CHECK(m.of(t).precision() == near(c.at("precision")[k]));
      CHECK(m.of(t).recall() == near(c.at("recall")[k]));
      CHECK(m.of(t).f1() == near(c.at("f1")[k]));
    }
    CHECK(m.accuracy() == near(c.at("accuracy")));
    CHECK(accuracy(truth, predicted) == near(c.at("accuracy")));
    for (const auto& micro : c.at("micro")) CHECK(m.accuracy() == near(micro));
    CHECK(m.macro().precision == near(c.at("macro")[0]));
    CHECK(m.macro().recall == near(c.at("macro")[1]));
    CHECK(m.macro().f1 == near(c.at("macro")[2]));
    CHECK(m.weighted_f1() == near(c.at("weighted")[2]));
    CHECK(m.balanced_accuracy() == near(c.at("balanced_accuracy")));
    CHECK(m.matthews() == near(c.at("matthews")));
  }
}

TEST_CASE("classification: a matrix grows in parts, and padding is not counted") {
  ConfusionMatrix whole(3, Ids{0, 1, 2, 2}, Ids{0, 2, 2, 1}), parts(3), other(3);
  parts.add(Ids{0, -1, 1}, Ids{0, 99, 2});
  other.add(Ids{2, 2, -1}, Ids{2, 1, -1});
  parts += other;
  for (Index t = 0; t < 3; ++t)
    for (Index p = 0; p < 3; ++p) CHECK(parts.count(t, p) == whole.count(t, p));
  CHECK(accuracy(Ids{0, -1, 1, -1}, Ids{0, -1, 2, 5}) == 0.5);
}

TEST_CASE("classification: the table shows counts and scores in columns, by code points") {
  const ConfusionMatrix m(2, Ids{0, 0, 1, 1}, Ids{0, 1, 1, 1});
  CHECK(m.table(std::vector<std::string>{"né", "other"}) ==
        "true \\ predicted  né  other  precision  recall      F1\n"
        "né                 1      1     1.0000  0.5000  0.6667\n"
        "other              0      2     0.6667  1.0000  0.8000\n");
  CHECK(m.table().find("\n1 ") != std::string::npos);
  CHECK_THROWS_AS(m.table(std::vector<std::string>{"one"}), ValueError);
  CHECK_THROWS_AS(m.table(std::vector<std::string>{"a", "\xFF"}), ValueError);
}

TEST_CASE("classification: the area under the curve agrees with pairs counted by hand") {
  // Of four pairs two are in order, one is tied and one is not.
  CHECK(roc_auc(Ids{1, 0, 1, 0}, std::vector<double>{0.9, 0.5, 0.5, 0.7}) == near((2 + 0.5) / 4));
  CHECK(roc_auc(Ids{0, 1}, std::vector<float>{-INFINITY, INFINITY}) == 1);
  CHECK(roc_auc(Ids{0, 1, 1}, std::vector<float>{3, 3, 3}) == 0.5);
}

TEST_CASE("classification: the area under the curve agrees with scikit-learn, with ties") {
  for (const auto& c : stored_metrics("auc"))
    CHECK(roc_auc(c.at("truth").get<Ids>(), c.at("scores").get<std::vector<double>>()) == near(c.at("auc")));
}

TEST_CASE("classification: what does not fit is refused, and nothing is counted") {
  ConfusionMatrix m(2);
  CHECK_THROWS_AS(m.add(Ids{0, 1}, Ids{0}), ValueError);
  CHECK_THROWS_AS(m.add(Ids{0, 2}, Ids{0, 1}), IndexError);
  CHECK_THROWS_AS(m.add(Ids{0, 1}, Ids{0, -1}), IndexError);
  CHECK_THROWS_AS(m.add(Ids{0, -2}, Ids{0, 1}), IndexError);
  CHECK(m.total() == 0);
  CHECK_THROWS_AS(m += ConfusionMatrix(3), ValueError);
  CHECK_THROWS_AS(m.count(2, 0), IndexError);
  CHECK_THROWS_AS(m.of(-1), IndexError);
  CHECK_THROWS_AS(ConfusionMatrix(0), ValueError);
  CHECK_THROWS_AS(m.accuracy(), ValueError);
  CHECK_THROWS_AS(m.macro(), ValueError);
  CHECK_THROWS_AS(m.weighted_f1(), ValueError);
  CHECK_THROWS_AS(m.balanced_accuracy(), ValueError);
  CHECK_THROWS_AS(m.matthews(), ValueError);
  CHECK_THROWS_AS(accuracy(Ids{}, Ids{}), ValueError);
  CHECK_THROWS_AS(accuracy(Ids{-1}, Ids{0}), ValueError);
  CHECK_THROWS_AS(accuracy(Ids{1}, Ids{0, 1}), ValueError);
  using Scores = std::vector<double>;
  CHECK_THROWS_WITH_AS(roc_auc(Ids{1, 1}, Scores{0, 1}),
                       "roc_auc: 2 examples of class 1 and 0 of class 0; it takes both", ValueError);
  CHECK_THROWS_AS(roc_auc(Ids{}, Scores{}), ValueError);
  CHECK_THROWS_AS(roc_auc(Ids{0, 1}, Scores{0}), ValueError);
  CHECK_THROWS_AS(roc_auc(Ids{0, 2}, Scores{0, 1}), ValueError);
  CHECK_THROWS_AS(roc_auc(Ids{0, 1}, Scores{0, std::numeric_limits<double>::quiet_NaN()}), ValueError);
}
