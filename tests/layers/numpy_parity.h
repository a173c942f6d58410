#pragma once

#include <layers/fixture.h>
#include <unroll/layers/layers.h>

// Cells beside an independent reference that was written in NumPy from the papers' equations: values and every
// gradient. See fixtures/make_numpy_fixtures.py for the files.

namespace unroll::numpy_parity {

template <Real T, class L>
void take_weights(L& layer, const StoredReference& f) {
  for_each_parameter(layer, [&](const std::string& path, Parameter<T>& p) {
    const auto value = f.as<T>("param/" + path);
    require<ShapeError>(shape_of(value) == p.shape(), "parity: {} of {} is {}", path, f.name(), p.shape());
    p.edit() = value;
  });
}
template <Real T, class L>
void compare_weights(Parity& parity, const L& layer, const StoredReference& f) {
  for_each_parameter(layer, [&](const std::string& path, const Parameter<T>& p) {
    parity.compare(f, "grad/param/" + path, p.grad());
  });
}

/// A cell of cell_names(); `scan`, over all steps at once where it can be.
template <Real T>
Parity of_cell(const std::string& name, bool scan = true) {
  const StoredReference f("cell_" + name);
  Parity parity;
  const Index out = shape_of(f.at("y"))[2], width = name == "lstm-projection" ? 5 : out;
  Rng rng;
  Recurrent<AnyCell<T>> layer(shape_of(f.at("x"))[2], width, rng, name);
  layer.scan = scan;
  take_weights<T>(layer.cell, f);
  Tape<T> tape;
  const auto x = tape.variable(f.as<T>("x"));
  std::vector<Var<T>> start;
  const auto state = map_vars(layer.initial(tape, x.shape()[1]), [&](Var<T>) {
    return start.emplace_back(tape.variable(f.as<T>(fmt::format("s{}", start.size()))));
  });
  const auto unrolled = layer(x, state);
  parity.compare(f, "y", unrolled.outputs.value());
  Var<T> loss = sum(unrolled.outputs * tape.constant(f.as<T>("seed_y")));
  int k = 0;
  for_each_var(unrolled.last, [&](const Var<T>& v) {
    parity.compare(f, fmt::format("last{}", k), v.value());
    loss = loss + sum(v * tape.constant(f.as<T>(fmt::format("seed{}", k++))));
  });
  tape.backward(loss);
  parity.compare(f, "grad/x", x.grad());
  for (std::size_t i = 0; i < start.size(); ++i) parity.compare(f, fmt::format("grad/s{}", i), start[i].grad());
  compare_weights<T>(parity, layer.cell, f);
  return parity;
}

inline Forest forest_of(const StoredReference& f) {
  const auto parents = f.at("parents");
  return Forest(std::vector<Index>(parents.begin(), parents.end()));
}

/// A layer over trees, by the name of its file.
template <class L, Real T = typename L::scalar>
Parity of_tree(L layer, const std::string& name) {
  const StoredReference f("tree_" + name);
  Parity parity;
  take_weights<T>(layer, f);
  Tape<T> tape;
  const auto x = tape.variable(f.as<T>("x"));
  const auto [h, c] = layer(x, forest_of(f)).nodes;
  parity.compare(f, "y", h.value());
  parity.compare(f, "last0", c.value());
  tape.backward(sum(h * tape.constant(f.as<T>("seed_y"))) + sum(c * tape.constant(f.as<T>("seed0"))));
  parity.compare(f, "grad/x", x.grad());
  compare_weights<T>(parity, layer, f);
  return parity;
}

}  // namespace unroll::numpy_parity
