#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include <unroll/autograd/tape/leaves.h>

using namespace unroll;
using namespace unroll::detail;

TEST_CASE("parameters are found by their leaves, however many there are") {
  std::vector<std::unique_ptr<Parameter<float>>> parameters;
  for (int i = 0; i < 1000; ++i) parameters.push_back(std::make_unique<Parameter<float>>(Tensor<float>{{1, 2}}));
  Leaves<float> leaves;
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      REQUIRE(leaves.find(*parameters[i]) == 0);
      REQUIRE(leaves.add(static_cast<std::uint32_t>(7 * i), *parameters[i]) == i + 1);
    }
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      REQUIRE(leaves.find(*parameters[i]) == i + 1);
      REQUIRE(leaves[static_cast<std::uint32_t>(i + 1)].node == 7 * i);
    }
    leaves.clear();
  }
}

TEST_CASE("a parameter that was edited is not what its leaf holds, and is found as it was added last") {
  Parameter<float> parameter(Tensor<float>{{1, 2}});
  Leaves<float> leaves;
  CHECK(leaves.add(3, parameter) == 1);
  CHECK(leaves[1].is_current());
  parameter.edit()(0, 0) = 5;
  CHECK(!leaves[1].is_current());
  CHECK(leaves.add(9, parameter) == 2);
  CHECK(leaves.find(parameter) == 2);
  CHECK(leaves[2].is_current());
}
