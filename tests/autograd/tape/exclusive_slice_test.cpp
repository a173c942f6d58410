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

TEST_CASE("rows that were postponed are put where they are read, and nowhere else") {
  std::vector<float> memory(5 * 20, -1.0f), few(2 * 20);
  for (std::size_t i = 0; i < few.size(); ++i) few[i] = static_cast<float>(i);
  std::vector<const float*> at;
  for (const std::size_t k : {0u, 1u, 1u, 0u, 1u}) at.push_back(few.data() + 20 * k);
  std::array<bool, 5> apart{};
  PostponedRows<float> rows{3, {memory.data(), 5, 20, 20}, {at.data(), 5, 20}, apart};
  const auto there = [&](Index r, Index c) {
    return memory[static_cast<std::size_t>(20 * r + c)] == at[static_cast<std::size_t>(r)][c];
  };
  const auto count = [&](Index first, Index last) {
    Index n = 0;
    for (Index r = first; r < last; ++r)
      for (Index c = 0; c < 20; ++c) n += there(r, c);
    return n;
  };
  const View<const float> middle{memory.data() + 20, 3, 20, 20};
  CHECK(!rows.give({memory.data() + 25, 3, 10, 20}));
  REQUIRE(rows.give(middle));
  ExclusiveSlice<float> slice(middle, &rows);
  CHECK(slice.takes_from(rows));
  CHECK(count(0, 5) == 0);

  slice.note_read(middle.columns_between(2, 5));
  CHECK(count(1, 4) == 9);
  REQUIRE(slice.consume(middle.columns_between(8, 12)));
  const Addend<float> addend = slice.addend(middle.columns_between(8, 12));
  CHECK(addend.any);
  CHECK(addend.column == 8);
  for (std::size_t r = 0; r < 3; ++r) CHECK(addend.rows[r] == at[r + 1]);

  memory[20 + 3] = 99;  // what is there stays
  slice.put(middle.columns_between(0, 6));
  CHECK(count(1, 4) == 3 * 6 - 1);
  slice.put_all();
  CHECK(count(1, 4) == 3 * 16 - 1);
  for (Index c = 8; c < 12; ++c) CHECK(memory[static_cast<std::size_t>(20 + c)] == -1);

  CHECK(count(0, 1) + count(4, 5) == 0);
  rows.put_others();
  CHECK(count(0, 1) + count(4, 5) == 40);
  CHECK(count(1, 4) == 3 * 16 - 1);
  CHECK(!rows.give({memory.data(), 1, 20, 20}));
  CHECK(ExclusiveSlice<float>(middle).addend(middle).rows == nullptr);
}
