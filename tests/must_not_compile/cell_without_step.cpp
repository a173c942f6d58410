// expect: a cell has State, initial, project, step and fields
#include <unroll/layers/layers.h>

using namespace unroll;

struct Stepless {
  using State = Var<float>;
  State initial(Tape<float>& tape, Index batch) const { return tape.zeros({batch, 1}); }
  Var<float> project(Var<float> xs) const { return xs; }
  static void fields(auto&, auto&&) {}
};

void wrong(Var<float> xs) { Recurrent<Stepless>{}(xs); }
