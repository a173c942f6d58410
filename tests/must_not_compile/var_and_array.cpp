// expect: use of deleted function|deleted operator|call to deleted
#include <unroll/autograd/autograd.h>

using namespace unroll;

Var<float> wrong(const Tensor<float>& array, Var<float> x) { return array * x; }
