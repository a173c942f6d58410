#include <doctest/doctest.h>

#include <vector>

#include <unroll/autograd/tape/deferred_products.h>
#include <unroll/autograd/tensor/rng.h>

using namespace unroll;
using namespace unroll::detail;

namespace {

constexpr Index inputs = 5, outputs = 3, steps = 6, largest = 4;

std::vector<double> random(Index count, std::uint64_t seed) {
  Rng rng{seed};
  std::vector<double> values(static_cast<std::size_t>(count));
  for (double& x : values) x = rng.uniform() - 0.5;
  return values;
}

}  // namespace

// What a recurrent layer defers: last step first; of operands that lie as one, apart, or as columns of wider rows.
TEST_CASE("deferred products are the sum of all, wherever their operands lie") {
  const Index gap_a = 7, gap_b = 11;
  const std::vector<double> xs = random(steps * (largest * 8 + gap_a), 1),
                            ys = random(steps * (largest * 6 + gap_b), 2);
  for (const auto& [batch, stride_a] : {std::pair{Index{1}, Index{5}}, {1, 8}, {largest, 5}, {largest, 8}})
    for (const Index stride_b : {Index{3}, Index{6}})
      for (const bool apart_a : {false, true})
        for (const bool apart_b : {false, true})
          for (const bool overwrite : {false, true}) {
            INFO(batch, " ", stride_a, " ", stride_b, " ", apart_a, " ", apart_b, " ", overwrite);
            // Steps that lie apart do so by a distance that changes.
            const auto at = [batch = batch](Index t, Index stride, Index gap) {
              return t * batch * stride + (t > 2 ? gap : 0);
            };
            DeferredProducts<double> products;
            products.start(3);
            Arena scratch;
            std::vector<double> gradient(inputs * outputs, 1.0), expected(inputs * outputs, overwrite ? 0.0 : 1.0);
            for (Index t = steps; t-- > 0;) {
              const View<const double> a{xs.data() + at(t, stride_a, apart_a ? gap_a : 0), batch, inputs, stride_a};
              const View<const double> b{ys.data() + at(t, stride_b, apart_b ? gap_b : 0), batch, outputs, stride_b};
              CHECK(products.add(2, a, b) == (steps - t) * batch);
              for (Index r = 0; r < batch; ++r)
                for (Index i = 0; i < inputs; ++i)
                  for (Index j = 0; j < outputs; ++j)
                    expected[static_cast<std::size_t>(i * outputs + j)] += a.row(r)[i] * b.row(r)[j];
            }
            CHECK(!products.wait_for(1));
            REQUIRE(products.wait_for(2));
            products.flush(2, {gradient.data(), inputs, outputs, outputs}, overwrite, scratch);
            CHECK(!products.wait_for(2));
            for (std::size_t i = 0; i < gradient.size(); ++i)
              REQUIRE(gradient[i] == doctest::Approx(expected[i]).epsilon(1e-13));
          }
}

TEST_CASE("deferred products without rows add nothing, and give zeros where nothing else came") {
  const std::vector<double> xs = random(2 * inputs, 1), ys = random(2 * outputs, 2);
  const View<const double> a{xs.data(), 2, inputs, inputs}, b{ys.data(), 2, outputs, outputs};
  const auto added = [&](std::initializer_list<Index> rows, bool overwrite) {
    DeferredProducts<double> products;
    products.start(1);
    Arena scratch;
    for (const Index n : rows) products.add(0, a.rows_between(0, n), b.rows_between(0, n));
    REQUIRE(products.wait_for(0));
    std::vector<double> gradient(inputs * outputs, 1.0);
    products.flush(0, {gradient.data(), inputs, outputs, outputs}, overwrite, scratch);
    return gradient;
  };
  for (const bool overwrite : {false, true}) {
    CHECK(added({0}, overwrite) == std::vector<double>(inputs * outputs, overwrite ? 0.0 : 1.0));
    CHECK(added({0, 0}, overwrite) == added({0}, overwrite));
    CHECK(added({0, 2, 0}, overwrite) == added({2}, overwrite));
    CHECK(added({2}, overwrite) != added({0}, overwrite));
  }
}
