// expect: could not convert|no viable conversion|not contextually convertible
#include <unroll/autograd/autograd.h>

using namespace unroll;

struct Rectifier {
  static constexpr const char* name = "rectifier";
  template <class V>
  V forward(V x) const {
    if (x > V(0)) return x;
    return V(0);
  }
  template <class V>
  V backward(V dy, V x, V) const {
    return math::select(x > V(0), dy, V(0));
  }
};

auto wrong(const Var<float>& x) { return apply(Rectifier{}, x); }
