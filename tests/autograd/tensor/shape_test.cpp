#include <doctest/doctest.h>

#include <unroll/autograd/tensor/shape.h>

#include <cstdint>

using namespace unroll;

TEST_CASE("shape: extents, size, rows and columns") {
  const Shape s{2, 3, 4};
  CHECK(s.rank() == 3);
  CHECK(s.size() == 24);
  CHECK(s[0] == 2);
  CHECK(s[-1] == 4);
  CHECK(s.rows() == 6);
  CHECK(s.cols() == 4);
  CHECK(s.text() == "[2, 3, 4]");
  CHECK(fmt::format("{}", s) == "[2, 3, 4]");
  CHECK(Shape{}.size() == 1);
  CHECK(Shape{}.rows() == 1);
  CHECK(Shape{}.cols() == 1);
  CHECK(Shape{}.text() == "[]");
  CHECK(Shape{5}.rows() == 1);
  CHECK(Shape{3, 0}.size() == 0);
  CHECK(Shape{2, 3} != Shape{3, 2});
  CHECK(Shape{2} != Shape{2, 1});
}

TEST_CASE("shape: an axis that is not there is named") {
  const Shape s{2, 3};
  CHECK(s.position(-2) == 0);
  CHECK_THROWS_WITH_AS(s[2], "shape: no axis 2 in [2, 3]", ShapeError);
  CHECK_THROWS_WITH_AS(s[-3], "shape: no axis -3 in [2, 3]", ShapeError);
  CHECK_THROWS_AS(Shape{}[0], ShapeError);
  CHECK_THROWS_AS(Shape{}[-1], ShapeError);
}

TEST_CASE("shape: an axis replaced, left out, put in") {
  const Shape s{2, 3, 4};
  CHECK(s.with(1, 7) == Shape{2, 7, 4});
  CHECK(s.with(-1, 0) == Shape{2, 3, 0});
  CHECK(s.without(0) == Shape{3, 4});
  CHECK(s.without(-1) == Shape{2, 3});
  CHECK(Shape{5}.without(0) == Shape{});
  CHECK(s.inserted(0, 9) == Shape{9, 2, 3, 4});
  CHECK(s.inserted(3, 9) == Shape{2, 3, 4, 9});
  CHECK(s.inserted(-1, 9) == Shape{2, 3, 4, 9});
  CHECK(s.inserted(-2, 9) == Shape{2, 3, 9, 4});
  CHECK(Shape{}.inserted(0, 9) == Shape{9});
  CHECK_THROWS_AS(s.inserted(4, 9), ShapeError);
  CHECK_THROWS_AS(s.without(3), ShapeError);
  CHECK_THROWS_AS(s.with(3, 1), ShapeError);
}

TEST_CASE("shape: at most six axes") {
  const Shape six{1, 2, 1, 2, 1, 2};
  CHECK(six.size() == 8);
  CHECK_THROWS_WITH_AS((Shape{1, 1, 1, 1, 1, 1, 1}), "shape: 7 axes, at most 6 are supported", ShapeError);
  CHECK_THROWS_WITH_AS(six.inserted(0, 1), "shape: [1, 2, 1, 2, 1, 2] has no room for another axis", ShapeError);
}

TEST_CASE("shape: negative extents and sizes that overflow are refused") {
  CHECK_THROWS_WITH_AS((Shape{2, -1}), "shape: negative extent in [2, -1]", ShapeError);
  CHECK_THROWS_AS((Shape{0, -1}), ShapeError);
  const Index huge = Index{1} << 40;
  CHECK_THROWS_WITH_AS((Shape{huge, huge}), "shape: the number of elements of [1099511627776, 1099511627776] overflows",
                       ShapeError);
  CHECK_THROWS_AS((Shape{PTRDIFF_MAX}), ShapeError);
  CHECK_THROWS_AS((Shape{0, huge, huge}), ShapeError);  // strides would overflow
  CHECK_THROWS_AS((Shape{huge, 2}).with(1, huge), ShapeError);
  CHECK(Shape{huge, 1024}.size() == huge * 1024);
}

TEST_CASE("shape: broadcasting aligns at the end and stretches ones") {
  const auto both = [](const Shape& a, const Shape& b) {
    const Shape result = broadcast(a, b, "op");
    CHECK(broadcast(b, a, "op") == result);
    return result;
  };
  CHECK(both({2, 3}, {2, 3}) == Shape{2, 3});
  CHECK(both({2, 3}, {3}) == Shape{2, 3});
  CHECK(both({2, 3}, {2, 1}) == Shape{2, 3});
  CHECK(both({2, 3}, {}) == Shape{2, 3});
  CHECK(both({2, 1}, {1, 3}) == Shape{2, 3});
  CHECK(both({4, 1, 3}, {2, 1}) == Shape{4, 2, 3});
  CHECK(both({1}, {}) == Shape{1});
  CHECK(both({1, 1}, {5}) == Shape{1, 5});
  CHECK(both({0, 3}, {1, 3}) == Shape{0, 3});
  CHECK(both({0}, {1}) == Shape{0});
  CHECK_THROWS_WITH_AS(broadcast({2, 3}, {4}, "add"), "add: extents differ: [2, 3] and [4]", ShapeError);
  CHECK_THROWS_AS(broadcast({2, 3}, {3, 2}, "add"), ShapeError);
  CHECK_THROWS_AS(broadcast({0}, {3}, "add"), ShapeError);
  CHECK_THROWS_AS(broadcast({Index{1} << 40, 1}, {Index{1} << 40}, "add"), ShapeError);
}
