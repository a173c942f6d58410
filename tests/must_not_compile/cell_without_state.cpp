// expect: no type named .State. in
#include <unroll/layers/layers.h>

using namespace unroll;

struct Stateless {
  Var<float> initial(Tape<float>& tape, Index batch) const { return tape.zeros({batch, 1}); }
  Var<float> project(Var<float> xs) const { return xs; }
  Var<float> step(Var<float> x, Var<float> h) const { return x + h; }
  static void fields(auto&, auto&&) {}
};

void wrong(Var<float> xs) { Recurrent<Stateless>{}(xs); }
