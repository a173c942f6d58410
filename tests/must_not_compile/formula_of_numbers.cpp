// expect: a formula of numbers alone has no tape
#include <unroll/autograd/autograd.h>

using namespace unroll;

Var<float> wrong() { return exp(detail::Number<float>{{}, 1.0f}); }
