#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include <unroll/autograd/tape/gradient_memory.h>

using namespace unroll;
using namespace unroll::detail;

namespace {

/// A node of `shape` whose gradient begins at `grad`.
Node<float> node(float* grad, std::uint32_t block, const Shape& shape, Index stride) {
  Node<float> n;
  n.grad = grad;
  n.block = block;
  n.shape = shape;
  n.stride = stride;
  return n;
}

}  // namespace

TEST_CASE("a sequence's gradient is zeroed step by step, when it is first reached") {
  std::vector<float> memory(3 * 2 * 4, 9.0f);
  GradientMemory<float> gradients;
  const std::uint32_t block = gradients.add(memory.data(), {3, 2, 4}, 5);
  CHECK(gradients.owner_of(block) == 5);
  const Node<float> sequence = node(memory.data(), block, {3, 2, 4}, 4);
  const Node<float> step = node(memory.data() + 8, block, {2, 4}, 4);
  gradients.start();
  CHECK(!gradients.reached(sequence));
  gradients.reach(step);
  CHECK(gradients.reached(step));
  CHECK(gradients.reached(sequence));
  CHECK(!gradients.reached(node(memory.data(), block, {2, 4}, 4)));
  CHECK(std::count(memory.begin(), memory.end(), 0.0f) == 8);
  std::fill(memory.begin(), memory.end(), 2.0f);
  gradients.reach(sequence);  // but for the step that holds something by now
  CHECK(std::count(memory.begin(), memory.end(), 2.0f) == 8);
  CHECK(memory[8] == 2.0f);
}

TEST_CASE("to reach columns that are claimed leaves the others to who claims them") {
  for (const Shape& shape : {Shape{2, 8}, Shape{1, 2, 8}, Shape{2, 2, 8}}) {
    std::vector<float> memory(static_cast<std::size_t>(shape.size()), 9.0f);
    GradientMemory<float> gradients;
    const std::uint32_t block = gradients.add(memory.data(), shape, 1);
    const auto columns = [&](Index first, Index last) {
      return node(memory.data() + first, block, shape.with(-1, last - first), 8);
    };
    const auto untouched = [&] { return std::ranges::count(memory, 9.0f) == shape.size(); };
    gradients.start();
    CHECK(gradients.claim(columns(3, 8)));
    gradients.reach(columns(3, 8));
    gradients.reach(columns(4, 6));
    CHECK(untouched());
    CHECK(gradients.claim(columns(0, 2)));
    gradients.reach(columns(0, 2));
    CHECK(untouched());
    gradients.reach(columns(1, 4));  // column 2 is nobody's
    CHECK(std::ranges::count(memory, 0.0f) == shape.rows());
    CHECK(memory[2] == 0.0f);
    CHECK(!gradients.claim(columns(2, 3)));
  }
}

TEST_CASE("who claims a gradient overwrites it, and only the first can") {
  std::vector<float> memory(2 * 8, 9.0f);
  GradientMemory<float> gradients;
  const std::uint32_t block = gradients.add(memory.data(), {2, 8}, 1);
  const Node<float> left = node(memory.data(), block, {2, 3}, 8), right = node(memory.data() + 3, block, {2, 5}, 8);
  for (int pass = 0; pass < 2; ++pass) {
    gradients.start();
    CHECK(gradients.claim(left));
    CHECK(!gradients.claim(left));
    CHECK(!gradients.claim(node(memory.data() + 2, block, {2, 2}, 8)));
    CHECK(gradients.claim(right));
    gradients.reach(right);  // nothing is left to be zeroed
    CHECK(std::count(memory.begin(), memory.end(), 9.0f) == 16);
  }
  gradients.start();
  CHECK(gradients.claim(left));
  gradients.reach(right);
  CHECK(std::count(memory.begin(), memory.end(), 0.0f) == 10);
}

TEST_CASE("a lent gradient is never zeroed or claimed, and a block that comes after start is not reached") {
  std::vector<float> memory(8, 9.0f);
  GradientMemory<float> gradients;
  const std::uint32_t lent = gradients.add_lent(memory.data(), {4}, 1);
  const Node<float> n = node(memory.data(), lent, {4}, 4);
  gradients.start();
  CHECK(gradients.reached(n));
  CHECK(!gradients.claim(n));
  gradients.reach(n);
  CHECK(memory[0] == 9.0f);
  const std::uint32_t later = gradients.add(memory.data() + 4, {4}, 2);
  gradients.extend();
  CHECK(!gradients.reached(node(memory.data() + 4, later, {4}, 4)));
  CHECK(gradients.is_read(lent));
  CHECK(!gradients.is_read(later));
  gradients.note_read(later);
  CHECK(gradients.is_read(later));
  gradients.clear();
  CHECK(gradients.add(memory.data(), {4}, 0) == 1);
}
