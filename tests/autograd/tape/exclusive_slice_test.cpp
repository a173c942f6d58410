#include <doctest/doctest.h>

#include <vector>

#include <unroll/autograd/tape/exclusive_slice.h>

using namespace unroll;
using namespace unroll::detail;

namespace {

/// Three rows of twenty columns, and views of some of these.
struct Grid {
  std::vector<float> memory = std::vector<float>(60);
  View<const float> columns(Index first, Index last) const { return {memory.data() + first, 3, last - first, 20}; }
};

}  // namespace

TEST_CASE("columns of a slice are taken once, and not after they were read") {
  const Grid m;
  ExclusiveSlice<float> slice(m.columns(0, 20));
  slice.note_read(m.columns(0, 4));
  CHECK(!slice.is_consumed(m.columns(0, 20)));
  CHECK(!slice.consume(m.columns(0, 4)));
  CHECK(!slice.consume(m.columns(3, 6)));
  CHECK(slice.consume(m.columns(4, 8)));
  CHECK(!slice.consume(m.columns(4, 8)));
  CHECK(slice.is_consumed(m.columns(7, 9)));
  CHECK(!slice.is_consumed(m.columns(8, 20)));
  CHECK(slice.consume(m.columns(8, 20)));
}

TEST_CASE("a view of some rows counts as all columns, and cannot be taken") {
  const Grid m;
  ExclusiveSlice<float> slice(m.columns(0, 20));
  CHECK(!slice.consume({m.memory.data(), 2, 4, 20}));
  slice.note_read({m.memory.data() + 20, 2, 4, 20});
  CHECK(!slice.consume(m.columns(8, 20)));
}

TEST_CASE("where more ranges are read than are kept, nothing is taken any more") {
  const Grid m;
  ExclusiveSlice<float> slice(m.columns(0, 20));
  for (int i = 0; i < 50; ++i) slice.note_read(m.columns(0, 2));  // one range
  CHECK(slice.consume(m.columns(19, 20)));
  for (Index i = 0; i < 15; ++i) slice.note_read(m.columns(i, i + 1));
  CHECK(!slice.consume(m.columns(18, 19)));
}
