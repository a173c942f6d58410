// expect: use of deleted function|call to deleted constructor
#include <unroll/autograd/autograd.h>

using namespace unroll;

void wrong(const Tape<float>& tape) { Tape<float> copy = tape; }
