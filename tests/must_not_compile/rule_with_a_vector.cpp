// expect: is_trivially_copyable
#include <unroll/autograd/autograd.h>

using namespace unroll;

struct Hoarder {
  static constexpr const char* name = "hoarder";
  std::vector<float> kept;
  void forward(Var<float>) const {}
  void backward(Var<float>) const {}
};

void wrong(Var<float> x) { record(x.shape(), Hoarder{}, x); }
