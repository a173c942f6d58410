// expect: the model has another scalar: say parameters<float> or parameters<double>
#include <unroll/layers/layers.h>

using namespace unroll;

void wrong(Linear<double>& model) { parameters<float>(model); }
