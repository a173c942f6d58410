#include <autograd/ops/op_rows.h>

using namespace unroll;
using namespace unroll::testing;

// A message names the op, both shapes, and where in the model.

namespace {

struct Given {
  Tape<float> tape;
  Var<float> scalar = tape.constant(1), three = tape.constant(Tensor<float>{1, 2, 3}), four = zeros({4}),
             m23 = zeros({2, 3}), m34 = zeros({3, 4}), m24 = zeros({2, 4}), cube = zeros({2, 3, 4});
  Var<float> zeros(const Shape& shape) { return tape.variable(make_tensor<float>(shape, 0.0F)); }
};

}  // namespace

TEST_CASE_FIXTURE(Given, "op errors: operands of an element-wise op that do not broadcast") {
  CHECK_THROWS_WITH_AS(Var<float>(three + four), "add: extents differ: [3] and [4]", ShapeError);
  CHECK_THROWS_WITH_AS(Var<float>(m23 * m24), "mul: extents differ: [2, 3] and [2, 4]", ShapeError);
  CHECK_THROWS_WITH_AS(Var<float>(tanh(three) - four), "sub: extents differ: [3] and [4]", ShapeError);
  CHECK_THROWS_WITH_AS(Var<float>(where(three, four, 1)), "where: extents differ: [3] and [4]", ShapeError);
  CHECK_THROWS_WITH_AS(Var<float>(maximum(m23, cube)), "maximum: extents differ: [2, 3] and [2, 3, 4]", ShapeError);
  CHECK_THROWS_AS((three + four).shape(), ShapeError);
  Parameter<float> weight(make_tensor<float>({7}, 0.0F));
  weight.set_path("encoder/forward/bias");
  CHECK_THROWS_WITH_AS(Var<float>(three * weight), "mul: extents differ: [3] and [7] (in encoder/forward)", ShapeError);
}

TEST_CASE_FIXTURE(Given, "op errors: products") {
  CHECK_THROWS_WITH_AS(matmul(m23, m24), "matmul: inner extents differ: [2, 3] x [2, 4]", ShapeError);
  CHECK_THROWS_WITH_AS(matmul(m23, m34, {.b = true}), "matmul: inner extents differ: [2, 3] x [3, 4]", ShapeError);
  CHECK_THROWS_WITH_AS(matmul(m23, cube), "matmul: the right operand must be a matrix: [2, 3] x [2, 3, 4]", ShapeError);
  CHECK_THROWS_AS(matmul(m23, three), ShapeError);
  CHECK_THROWS_AS(matmul(scalar, m34), ShapeError);
  CHECK_THROWS_AS(matmul(cube, m34, {.a = true}), ShapeError);
  CHECK_THROWS_WITH_AS(affine(m23, m34, three), "affine: shapes do not fit: [2, 3] x [3, 4] + [3]", ShapeError);
  CHECK_THROWS_AS(affine(m23, m34, m24), ShapeError);
  CHECK_THROWS_WITH_AS(addmm(m23, m23, m34), "addmm: shapes do not fit: [2, 3] + [2, 3] x [3, 4]", ShapeError);
  CHECK_THROWS_WITH_AS(batched_matmul(cube, cube), "batched_matmul: inner extents differ: [2, 3, 4] x [2, 3, 4]",
                       ShapeError);
  CHECK_THROWS_AS(batched_matmul(cube, m23), ShapeError);
  CHECK_THROWS_WITH_AS(outer(m23, m34), "outer: two vectors or two batches of them are needed, not [2, 3] and [3, 4]",
                       ShapeError);
  Parameter<float> weight(make_tensor<float>({5, 6}, 0.0F));
  weight.set_path("encoder/cell/recurrent");
  CHECK_THROWS_WITH_AS(matmul(m23, weight), "matmul: inner extents differ: [2, 3] x [5, 6] (in encoder/cell)",
                       ShapeError);
}

TEST_CASE_FIXTURE(Given, "op errors: layout") {
  CHECK_THROWS_WITH_AS(reshape(m23, {4}), "reshape: [2, 3] does not have as many elements as [4]", ShapeError);
  CHECK_THROWS_WITH_AS(slice(m23, 2, 0, 1), "slice: no axis 2 in [2, 3]", ShapeError);
  CHECK_THROWS_WITH_AS(slice(m23, 1, 2, 4), "slice: 2 .. 4 is outside axis 1 of [2, 3]", IndexError);
  CHECK_THROWS_AS(slice(m23, 0, -1, 1), IndexError);
  CHECK_THROWS_AS(slice(m23, 0, 2, 1), IndexError);
  CHECK_THROWS_WITH_AS(split<2>(m23), "split: axis -1 of [2, 3] does not part into 2", ShapeError);
  CHECK_THROWS_WITH_AS(split<2>(m23, 5), "split: no axis 5 in [2, 3]", ShapeError);
  CHECK_THROWS_WITH_AS(concat(m23, m24, m34), "concat: extents differ: [2, 3] and [3, 4] along axis 1", ShapeError);
  const std::array<Var<float>, 2> different{m23, m24};
  CHECK_THROWS_WITH_AS(concat(std::span<const Var<float>>(different), 0),
                       "concat: extents differ: [2, 3] and [2, 4] along axis 0", ShapeError);
  CHECK_THROWS_WITH_AS(concat(std::span<const Var<float>>(different), 2), "concat: no axis 2 in [2, 3]", ShapeError);
  CHECK_THROWS_WITH_AS(stack(std::span<const Var<float>>(different)), "stack: shapes differ: [2, 3] and [2, 4]",
                       ShapeError);
  CHECK_THROWS_AS(concat(std::span<const Var<float>>{}), ValueError);
  CHECK_THROWS_AS(stack(std::span<const Var<float>>{}), ValueError);
  CHECK_THROWS_WITH_AS(transpose(three), "transpose: [3] has no two axes", ShapeError);
  CHECK_THROWS_WITH_AS(transpose(m23, 0, 2), "transpose: no axis 2 in [2, 3]", ShapeError);
  CHECK_THROWS_WITH_AS(reverse(m23, 3), "reverse: no axis 3 in [2, 3]", ShapeError);
  CHECK_THROWS_WITH_AS(reverse(scalar), "reverse: no axis 0 in []", ShapeError);
  CHECK_THROWS_WITH_AS(broadcast_to(three, {4}), "broadcast_to: extents differ: [3] and [4]", ShapeError);
  CHECK_THROWS_AS(broadcast_to(m23, {3}), ShapeError);
  CHECK_THROWS_AS(repeat(three, -1), ShapeError);
  CHECK_THROWS_AS(repeat(zeros({1, 1, 1, 1, 1, 1}), 2), ShapeError);
  CHECK_THROWS_WITH_AS(gather_rows(m23, std::vector<Index>{0, 2}, {2, 3}), "gather_rows: row 2 is outside [2, 3]",
                       IndexError);
  CHECK_THROWS_AS(gather_rows(m23, std::vector<Index>{-2}, {1, 3}), IndexError);
  CHECK_THROWS_AS(gather_rows(m23, std::vector<Index>{0}, {2, 3}), ShapeError);
  const std::vector<Index> none, second{1};
  const auto beside = [&](std::vector<Var<float>> xs, std::vector<std::span<const Index>> rows, const Shape& shape) {
    return gather_rows(std::span<const Var<float>>(xs), std::span<const std::span<const Index>>(rows), shape);
  };
  CHECK(beside({m23, m24}, {second, second}, {1, 7}).shape() == Shape{1, 7});
  CHECK_THROWS_WITH_AS(beside({m23, m24}, {second, second}, {1, 6}),
                       "gather_rows: 7 features side by side do not make [1, 6]", ShapeError);
  CHECK_THROWS_WITH_AS(beside({m23, m24}, {second, none}, {1, 7}), "gather_rows: 0 rows of [2, 4] do not make [1, 7]",
                       ShapeError);
  CHECK_THROWS_WITH_AS(beside({m23}, {std::vector<Index>{2}}, {1, 3}), "gather_rows: row 2 is outside [2, 3]",
                       IndexError);
  CHECK_THROWS_WITH_AS(beside({m23, m24}, {second}, {1, 7}), "gather_rows: 2 values, 1 lists of rows", ValueError);
  CHECK_THROWS_AS(beside({}, {}, {}), ValueError);
  CHECK_THROWS_WITH_AS(pick(m23, std::vector<std::int32_t>{0, 3}), "pick: index 3 is outside the last axis of [2, 3]",
                       IndexError);
  CHECK_THROWS_AS(pick(m23, std::vector<std::int32_t>{0, -1}), IndexError);
  CHECK_THROWS_WITH_AS(pick(m23, std::vector<std::int32_t>{0}), "pick: 1 indices for [2, 3]", ShapeError);
  CHECK_THROWS_WITH_AS(reverse_time(m23, std::vector<Index>{1, 1}), "reverse_time: 2 lengths for a sequence [2, 3]",
                       ShapeError);
  CHECK_THROWS_WITH_AS(reverse_time(m23, std::vector<Index>{1, 3, 1}),
                       "reverse_time: length 3 of row 1 in a sequence [2, 3]", ShapeError);
  CHECK_THROWS_WITH_AS(m23[2], "index: 2 is outside 0 .. 1 of [2, 3]", IndexError);
  CHECK_THROWS_AS(scalar[0], ShapeError);
}

TEST_CASE_FIXTURE(Given, "op errors: reductions, losses and options") {
  CHECK_THROWS_WITH_AS(sum(m23, 2), "sum: no axis 2 in [2, 3]", ShapeError);
  CHECK_THROWS_WITH_AS(mean(m23, 2), "mean: no axis 2 in [2, 3]", ShapeError);
  CHECK_THROWS_WITH_AS(softmax(scalar), "softmax: no axis -1 in []", ShapeError);
  CHECK_THROWS_WITH_AS(cumsum(m23, -3), "cumsum: no axis -3 in [2, 3]", ShapeError);
  const std::vector<std::int32_t> ids{0, 3};
  CHECK_THROWS_WITH_AS(cross_entropy(m23, ids), "cross_entropy: class 3 of row 1 is outside 0 .. 2", IndexError);
  CHECK_THROWS_WITH_AS(cross_entropy(three, ids), "cross_entropy: 2 targets for logits [3]", ShapeError);
  CHECK_THROWS_AS(cross_entropy(m23, std::vector<std::int32_t>{-1, -1}), ValueError);
  CHECK_THROWS_AS(cross_entropy(m24, ids, {.smoothing = 1.5}), ValueError);
  CHECK_THROWS_AS(cross_entropy(m24, ids, {.weights = std::array{1.0, 2.0}}), ShapeError);
  CHECK(cross_entropy(m23, std::vector<std::int32_t>{-1, -1}, {.reduction = Reduction::sum}).item() == 0);
  CHECK_THROWS_WITH_AS(linear_cross_entropy(m23, m34, three, ids),
                       "linear_cross_entropy: shapes do not fit: [2, 3] x [3, 4] + [3]", ShapeError);
  CHECK_THROWS_WITH_AS(linear_cross_entropy(m23, m34, three, ids, {}, {.b = true}),
                       "linear_cross_entropy: shapes do not fit: [2, 3] x [3, 4]^T + [3]", ShapeError);
  CHECK_THROWS_WITH_AS(linear_cross_entropy(m23, m34, four, ids, {}, {.a = true}),
                       "linear_cross_entropy: its rows cannot be transposed", ValueError);
  CHECK_THROWS_AS(masked_mean(m23, std::vector<Index>{0, 0, 0}), ValueError);
  CHECK_THROWS_AS(masked_mean(m23, std::vector<Index>{3, 0, 0}), ShapeError);
  CHECK_THROWS_AS(huber(m23, m23, 0), ValueError);
  CHECK_THROWS_WITH_AS(clamp(m23, 1, 0), "clamp: the bounds 1 and 0 are in the wrong order", ValueError);
}

TEST_CASE_FIXTURE(Given, "op errors: handles that are stale, foreign or empty, and parameters without a tape") {
  Tape<float> other;
  const Var<float> foreign = other.constant(Tensor<float>{1, 2, 3});
  CHECK_THROWS_AS(Var<float>(three + foreign), TapeError);
  CHECK_THROWS_AS(matmul(m23, other.constant(make_tensor<float>({3, 1}, 1.0F))), TapeError);
  CHECK_THROWS_AS(Var<float>(three + Var<float>()), TapeError);
  CHECK_THROWS_AS(sum(Var<float>()), TapeError);
  Parameter<float> p(make_tensor<float>({3}, 1.0F));
  CHECK_THROWS_AS(Var<float>(p + p), TapeError);
  const auto formula = three * 2;
  tape.rewind();
  CHECK_THROWS_AS(formula.record(), TapeError);
  CHECK_THROWS_AS(sum(three), TapeError);
  CHECK(tape.constant(1).item() == 1);
}

TEST_CASE("op errors: a tape on which an op failed goes on") {
  Tape<double> tape;
  Parameter<double> w(make_tensor<double>({3, 3}, 0.5));
  const Var<double> x = tape.constant(make_tensor<double>({2, 3}, 1.0)), y = matmul(x, w);
  CHECK_THROWS_AS(matmul(w, x), ShapeError);
  CHECK_THROWS_AS(Var<double>(y + tape.zeros({7})), ShapeError);
  tape.backward(sum(y));
  for (const double g : w.grad()) CHECK(g == 2);
}

TEST_CASE("op errors: recording moves the nodes and no shape with them") {
  Tape<float> tape;
  const Var<float> wide = tape.constant(make_tensor<float>({3, 4, 6}, 1.0F));
  for (int i = 0; i < 5000; ++i) {
    const Var<float> part = slice(wide, -1, 1, 3);
    CHECK(contiguous(part).shape() == Shape{3, 4, 2});
    CHECK(stop_gradient(part).shape() == Shape{3, 4, 2});
    CHECK(transpose(reverse(part, 1), 0, 2).shape() == Shape{2, 4, 3});
  }
}
