// expect: a rule has a name, forward
#include <unroll/autograd/autograd.h>

using namespace unroll;

struct Product {
  static constexpr const char* name = "product";
  template <class V>
  V forward(V a, V b) const {
    return a * b;
  }
  template <class V>
  V backward(V dy, V, V b, V) const {
    return dy * b;
  }
};

auto wrong(const Var<float>& a, const Var<float>& b) { return apply(Product{}, a, b); }
