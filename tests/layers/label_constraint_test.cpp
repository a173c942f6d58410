#include <doctest/doctest.h>

#include <unroll/layers/label_constraint.h>

using namespace unroll;

namespace {

const std::vector<std::string> bio{"O", "B-PER", "I-PER", "B-LOC", "I-LOC"};
const std::vector<std::string> bioes{"O", "B-x", "I-x", "E-x", "S-x", "B-y", "I-y", "E-y", "S-y"};

/// Whether a path is allowed, label by label.
bool allowed(const LabelConstraint& c, const std::vector<std::string>& names, const std::vector<std::string>& path) {
  std::vector<Index> ids;
  for (const std::string& name : path) ids.push_back(std::find(names.begin(), names.end(), name) - names.begin());
  bool ok = c.may_start(ids.front()) && c.may_end(ids.back());
  for (std::size_t t = 1; t < ids.size(); ++t) ok = ok && c.allows(ids[t - 1], ids[t]);
  return ok;
}

}  // namespace

TEST_CASE("label_constraint: BIO paths") {
  const LabelConstraint c = bio_constraint(bio);
  using Path = std::vector<std::string>;
  for (const Path& path : {Path{"O", "B-PER", "I-PER", "I-PER"}, Path{"B-LOC", "B-LOC", "I-LOC", "O"},
                           Path{"B-PER", "I-PER", "B-LOC"}, Path{"B-PER"}})
    CHECK(allowed(c, bio, path));
  for (const Path& path : {Path{"I-PER"}, Path{"O", "I-PER"}, Path{"B-LOC", "I-PER"}, Path{"B-PER", "I-PER", "I-LOC"},
                           Path{"B-PER", "O", "I-PER"}})
    CHECK_FALSE(allowed(c, bio, path));
}

TEST_CASE("label_constraint: BIOES paths leave no span open") {
  const LabelConstraint c = bioes_constraint(bioes);
  using Path = std::vector<std::string>;
  for (const Path& path : {Path{"O", "B-x", "I-x", "I-x", "E-x"}, Path{"S-y", "B-x", "E-x", "S-x", "O"},
                           Path{"B-x", "E-x", "B-x", "E-x"}, Path{"S-x"}})
    CHECK(allowed(c, bioes, path));
  for (const Path& path :
       {Path{"B-x"}, Path{"I-x", "E-x"}, Path{"E-x"}, Path{"B-x", "O"}, Path{"B-x", "S-x"}, Path{"B-x", "E-y"},
        Path{"B-x", "I-y", "E-x"}, Path{"S-x", "E-x"}, Path{"O", "I-x", "E-x"}, Path{"B-x", "I-x"}, Path{"B-x", "B-x"}})
    CHECK_FALSE(allowed(c, bioes, path));
}

TEST_CASE("label_constraint: labels of another scheme are named") {
  CHECK_THROWS_WITH_AS(bio_constraint({"O", "S-x"}),
                       "bio_constraint: the label \"S-x\" is neither O nor one of BI with - and a kind behind it",
                       ValueError);
  for (const char* name : {"", "B", "B-", "b-x", "X-x", "Bx", "OO"}) {
    CAPTURE(name);
    CHECK_THROWS_AS(bioes_constraint({name}), ValueError);
  }
}

TEST_CASE("label_constraint: which lengths have a path") {
  CHECK(LabelConstraint{}.feasible(2) == std::vector<std::uint8_t>{1, 1, 1});
  CHECK(bioes_constraint({"B-x", "I-x", "E-x"}).feasible(4) == std::vector<std::uint8_t>{1, 0, 1, 1, 1});
  LabelConstraint alternating = LabelConstraint::all(2);  // 0 1 0 1 ..., from 0 to 1
  alternating.forbid(0, 0), alternating.forbid(1, 1);
  alternating.start = {1, 0}, alternating.end = {0, 1};
  CHECK(alternating.feasible(6) == std::vector<std::uint8_t>{1, 0, 1, 0, 1, 0, 1});
  LabelConstraint dead_end = LabelConstraint::all(2);  // 0 to 1, and no further
  dead_end.forbid(0, 0), dead_end.forbid(1, 0), dead_end.forbid(1, 1);
  dead_end.start = {1, 0};
  CHECK(dead_end.feasible(4) == std::vector<std::uint8_t>{1, 1, 1, 0, 0});
  dead_end.end = {1};
  CHECK_THROWS_WITH_AS(dead_end.check(), "label_constraint: 4 transitions, 2 starts and 1 ends for 2 labels",
                       ShapeError);
}
