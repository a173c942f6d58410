// Compiled without optimisation, where intrinsics are macros: every function that rules are made of, in both scalars.
#include <unroll/autograd/autograd.h>

using namespace unroll;

template <Real T>
Var<T> all_functions(Var<T> x) {
  const Var<T> a = exp(x) + log(x) + log1p(x) + expm1(x) + sqrt(x) + square(x) + pow(x, 2.5) + abs(x);
  const Var<T> b = tanh(x) + sigmoid(x) + log_sigmoid(x) + relu(x) + leaky_relu(x) + elu(x) + gelu(x) + silu(x);
  const Var<T> c = softplus(x) + softsign(x) + sin(x) + cos(x) + minimum(x, a) + maximum(x, b) + clamp(x, 0, 1);
  return where(less(x, a), a * b / c, c - a);
}

template Var<float> all_functions(Var<float>);
template Var<double> all_functions(Var<double>);
