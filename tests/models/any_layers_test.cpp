#include <doctest/doctest.h>

#include <layers/fixture.h>

#include <set>

#include <unroll/models/any_layers.h>

using namespace unroll;

namespace {

Tensor<float> outputs_of(const std::string& wrapper, bool inference = true) {
  Rng rng{3};
  const AnyLayers layers({.in = 3, .width = 4, .count = 2, .cell = "gru", .wrapper = wrapper, .wrapper_rate = 0.5},
                         rng);
  Tape<> training, inferring = Tape<>::inference();
  Tape<>& tape = inference ? inferring : training;
  const std::vector<Index> lengths{5, 2};
  const Var<> ys = layers(tape.constant(init::normal<float>({5, 2, 3}, 1.0, rng)), lengths);
  CHECK(ys.shape() == Shape{5, 2, layers.width()});
  return ys.value();
}

}  // namespace

TEST_CASE("any layers: each wrapper is another model, and those that drop do so while training alone") {
  const std::set<std::string> noisy{"zoneout", "recurrent-dropout", "variational-dropout", "drop-connect"};
  const std::set<std::string> like_none{"checkpointed", "learned-initial", "recurrent-dropout", "variational-dropout",
                                        "drop-connect"};
  const Tensor<float> none = outputs_of("none");
  for (const std::string& wrapper : wrapper_names()) {
    CAPTURE(wrapper);
    const Tensor<float> ys = outputs_of(wrapper);
    CHECK((outputs_of(wrapper, false) != ys) == noisy.contains(wrapper));
    if (wrapper != "none") CHECK((ys == none) == like_none.contains(wrapper));
  }
  Rng rng{1};
  CHECK(AnyLayers({.in = 3, .width = 4, .wrapper = "bidirectional"}, rng).width() == 8);
  CHECK_THROWS_AS(AnyLayers({.in = 3, .width = 4, .wrapper = "none at all"}, rng), ValueError);
  CHECK_THROWS_AS(AnyLayers({.in = 3, .width = 4, .cell = "gur"}, rng), ValueError);
}
