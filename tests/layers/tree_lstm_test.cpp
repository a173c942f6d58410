#include <layers/compare.h>
#include <layers/numpy_parity.h>
#include <unroll/autograd/check/gradients.h>

using namespace unroll;

namespace {

/// A forest of `count` nodes; each but some roots hangs below a later one.
std::vector<Index> random_parents(Index count, Rng& rng) {
  std::vector<Index> parents;
  for (Index i = 0; i < count; ++i)
    parents.push_back(i + 1 == count || rng.below(6) == 0 ? -1 : i + 1 + rng.below(std::min<Index>(4, count - 1 - i)));
  return parents;
}

}  // namespace

TEST_CASE_TEMPLATE("tree lstm: both agree with the equations of their paper", T, float, double) {
  Rng rng;
  for (const Parity& parity : {numpy_parity::of_tree(ChildSumTreeLSTM<T>(3, 5, rng), "child-sum"),
                               numpy_parity::of_tree(NaryTreeLSTM<T>(3, 5, 2, rng), "nary")}) {
    CAPTURE(parity.of);
    CHECK(parity.worst <= parity_tolerance<T>);
  }
}

TEST_CASE("tree lstm: gradients agree with differences") {
  Rng rng{5};
  const Forest forest(random_parents(12, rng));
  Parameter<double> xs(random_tensor({12, 3}, rng));
  ChildSumTreeLSTM<double> sums(3, 4, rng);
  NaryTreeLSTM<double> ordered(3, 4, 4, rng);
  const auto check = [&](auto& layer) {
    auto listed = parameters<double>(layer);
    listed.push_back(&xs);
    const auto report = check_gradients(
        [&](Tape<double>& tape) {
          const auto states = layer(tape.use(xs), forest);
          return sum(square(states.nodes.h)) + sum(states.nodes.c * 0.5) + sum(exp(states.roots.h)) +
                 sum(states.roots.c);
        },
        listed);
    INFO(report.text());
    CHECK(report);
    CHECK(report.entries > 150);
  };
  check(sums);
  check(ordered);
}

TEST_CASE("tree lstm: a forest equals its trees one by one, and roots come in their order") {
  Rng rng{6};
  const ChildSumTreeLSTM<double> layer(2, 3, rng);
  const std::vector<Index> parents{2, 2, -1, -1, 5, -1, 8, 8, 5};
  const Forest forest(parents);
  CHECK(std::vector<Index>(forest.roots().begin(), forest.roots().end()) == std::vector<Index>{2, 3, 5});
  Tape<double> tape;
  const auto xs = tape.constant(random_tensor({9, 2}, rng));
  const auto all = layer(xs, forest);
  CHECK(distance(all.roots.h.value(), gather_rows(all.nodes.h, forest.roots(), Shape{3, 3}).value()) == 0);
  const auto alone = [&](std::vector<Index> nodes, std::vector<Index> tree) {
    const Shape shape{static_cast<Index>(nodes.size()), 2};
    const auto one = layer(gather_rows(xs, nodes, shape), Forest(tree));
    CHECK(distance(one.nodes.c.value(), gather_rows(all.nodes.c, nodes, Shape{shape[0], 3}).value()) <= 1e-15);
  };
  alone({0, 1, 2}, {2, 2, -1});
  alone({3}, {-1});
  alone({4, 5, 6, 7, 8}, {1, -1, 4, 4, 1});
}

TEST_CASE("tree lstm: over a chain it is an lstm") {
  Rng rng{7};
  constexpr Index width = 4, steps = 6;
  ChildSumTreeLSTM<double> tree(3, width, rng);
  LSTM<double> chain(3, width, rng);
  // Gates of the tree are i, o, u, f, those of the chain i, f, g, o.
  const auto columns = [](const Tensor<double>& of, std::initializer_list<Index> blocks) {
    Tensor<double> reordered = of;
    const Index rows = shape_of(of).size() / (4 * width);
    Index to = 0;
    for (const Index block : blocks) {
      for (Index r = 0; r < rows; ++r)
        for (Index j = 0; j < width; ++j)
          reordered.data()[r * 4 * width + to * width + j] = of.data()[r * 4 * width + block * width + j];
      ++to;
    }
    return reordered;
  };
  chain.cell.input.weight.edit() = columns(tree.input.weight.value(), {0, 3, 2, 1});
  chain.cell.input.bias.edit() = columns(tree.input.bias.value(), {0, 3, 2, 1});
  Tape<double> tape;
  const Var<double> gates = concat(tape.use(tree.recurrent.weight), tape.use(tree.forget.weight));
  chain.cell.recurrent.weight.edit() = columns(Tensor<double>(gates.value()), {0, 3, 2, 1});
  const auto xs = tape.constant(random_tensor({steps, 3}, rng));
  const std::vector<Index> parents{1, 2, 3, 4, 5, -1};
  const auto states = tree(xs, Forest(parents));
  const auto unrolled = chain(reshape(xs, {steps, 1, 3}));
  CHECK(distance(states.nodes.h.value(), reshape(unrolled.outputs, {steps, width}).value()) <= 1e-15);
  CHECK(distance(states.roots.c.value(), unrolled.last.c.value()) <= 1e-15);
}

TEST_CASE("tree lstm: what does not fit is refused in a sentence that names the node") {
  Rng rng{8};
  const auto forest = [](std::vector<Index> parents) { return Forest(parents); };
  CHECK_THROWS_WITH_AS(forest({1, 7}), "forest: node 1 has the parent 7, and there are 2 nodes", ValueError);
  CHECK_THROWS_WITH_AS(forest({-1, 2, 1}), "forest: node 1 is its own ancestor, or below one that is", ValueError);
  CHECK_THROWS_AS(forest({0}), ValueError);
  Tape<double> tape;
  NaryTreeLSTM<double> binary(2, 3, 2, rng);
  CHECK_THROWS_WITH_AS(binary(tape.zeros({4, 2}), forest({3, 3, 3, -1})),
                       doctest::Contains("tree_lstm: node 3 has more than 2 children"), ValueError);
  CHECK_THROWS_WITH_AS(binary(tape.zeros({4, 2}), forest({-1})),
                       doctest::Contains("tree_lstm: inputs [4, 2] for a forest of 1 nodes"), ShapeError);
  CHECK(binary(tape.zeros({0, 2}), forest({})).nodes.h.shape() == Shape{0, 3});
}
