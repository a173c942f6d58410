#include <layers/compare.h>
#include <layers/torch_parity.h>

using namespace unroll;

TEST_CASE_TEMPLATE("parity: cells agree with pytorch, in one layer and in two of both directions", T, float, double) {
  for (const char* cell : torch_parity::cells) {
    CAPTURE(cell);
    const auto parity = torch_parity::of_cell<T>(cell);
    CAPTURE(parity.of);
    CHECK(parity.worst <= parity_tolerance<T>);
  }
}
