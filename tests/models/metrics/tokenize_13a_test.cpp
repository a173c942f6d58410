#include <doctest/doctest.h>

#include <models/metrics/metric_fixture.h>

#include <unroll/models/metrics/tokenize_13a.h>

using namespace unroll;

using Tokens13a = std::vector<std::string>;

TEST_CASE("tokenize_13a: punctuation is set apart, numbers stay whole") {
  CHECK(tokenize_13a("Hello, world!") == Tokens13a{"Hello", ",", "world", "!"});
  CHECK(tokenize_13a("It's 1,234.5 km.") == Tokens13a{"It's", "1,234.5", "km", "."});
  CHECK(tokenize_13a("in 2019.") == Tokens13a{"in", "2019", "."});
  CHECK(tokenize_13a("a well-known 5-year") == Tokens13a{"a", "well-known", "5", "-", "year"});
  CHECK(tokenize_13a("(a) &quot;b&quot;") == Tokens13a{"(", "a", ")", "\"", "b", "\""});
  CHECK(tokenize_13a("").empty());
  CHECK(tokenize_13a(" \n\u00A0").empty());
}

TEST_CASE("tokenize_13a: tokens agree with sacreBLEU") {
  for (const auto& c : stored_metrics("tokens")) {
    CAPTURE(c.dump());
    CHECK(tokenize_13a(c.at("text").get<std::string>()) == c.at("tokens").get<Tokens13a>());
  }
}

TEST_CASE("tokenize_13a: text that is not UTF-8 is refused") {
  CHECK_THROWS_WITH_AS(tokenize_13a("ab\xC3"), "tokenize_13a: invalid UTF-8 at byte 2", ValueError);
}
