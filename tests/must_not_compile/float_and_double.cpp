// expect: float and double do not mix
#include <unroll/autograd/autograd.h>

using namespace unroll;

void wrong(Var<float> a, Var<double> b) { auto c = a + b; }
