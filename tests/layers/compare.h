#pragma once

#include <doctest/doctest.h>

#include <layers/fixture.h>
#include <unroll/layers/layers.h>

// What the tests of layers and optimizers share: random arrays, fixtures, and the distance of two arrays.

namespace unroll {

template <Real T = double>
Tensor<T> random_tensor(const Shape& shape, Rng& rng, double deviation = 1) {
  return init::normal<T>(shape, deviation, rng);
}

/// What the project promises against PyTorch.
template <Real T>
constexpr double parity_tolerance = std::same_as<T, double> ? 1e-12 : 1e-5;

/// A file of tests/fixtures in a test.
class Fixture : public StoredReference {
 public:
  using StoredReference::StoredReference;

  /// Compares with the fixture's array of that name.
  template <class A>
  void expect(const std::string& name, const A& got) const {
    CAPTURE(name);
    CHECK(distance(got, at(name)) <= parity_tolerance<typename A::value_type>);
  }
};

}  // namespace unroll
