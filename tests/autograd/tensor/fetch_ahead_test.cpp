#include <doctest/doctest.h>

#include <vector>

#include <unroll/autograd/tensor/fetch_ahead.h>

using namespace unroll;
using unroll::detail::FetchAhead;

TEST_CASE("fetch ahead: what was asked for comes line by line, what touches as one, and then nothing") {
  const std::vector<char> memory(10 * FetchAhead::line);
  const char* const at = memory.data();
  FetchAhead ahead;
  CHECK(ahead.take<char>(1) == nullptr);
  ahead.add(at + 2 * FetchAhead::line, 2 * FetchAhead::line);
  ahead.add(at + 8 * FetchAhead::line, 10);
  ahead.add(at + FetchAhead::line, FetchAhead::line + 5);  // touches the first from below
  ahead.add(at + 3 * FetchAhead::line, 8);                 // lies in it
  ahead.add(at + 6 * FetchAhead::line, 0);
  CHECK(ahead.take<char>(2) == at + FetchAhead::line);
  CHECK(ahead.take<char>(2) == at + 3 * FetchAhead::line);
  CHECK(ahead.take<char>(2) == at + 8 * FetchAhead::line);
  CHECK(ahead.take<char>(2) == nullptr);
  ahead.add(at, 1);
  ahead.clear();
  CHECK(ahead.take<char>(1) == nullptr);
}

TEST_CASE("fetch ahead: more than there is a place for is left out") {
  const std::vector<char> memory(1000);
  FetchAhead ahead;
  for (std::size_t i = 0; i < 100; ++i) ahead.add(memory.data() + 10 * i, 1);
  Index count = 0;
  for (const char* p = nullptr; (p = ahead.take<char>(1)) != nullptr; ++count) CHECK(p == memory.data() + 10 * count);
  CHECK(count > 0);
  CHECK(count < 100);
}
