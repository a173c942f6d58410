// expect: read-only|returns a const value
#include <unroll/autograd/autograd.h>

using namespace unroll;

void wrong(Parameter<float>& parameter) { parameter.value()(0) = 1.0f; }
