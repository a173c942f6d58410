#pragma once

#include <unroll/autograd/ops/elementwise.h>
#include <unroll/autograd/ops/layout.h>
#include <unroll/autograd/ops/reduce.h>
#include <unroll/layers/model.h>

namespace unroll::inline UNROLL_ISA {

/// (x - mean) / sqrt(variance + epsilon) * gain + bias over the last axis (Ba, Kiros and Hinton 2016, eq. 4).
template <Real T = float>
struct LayerNorm {
  Parameter<T> gain, bias;  // [width]
  double epsilon = 1e-5;

  explicit LayerNorm(Index width) : gain(make_tensor<T>({width}, T(1))), bias(make_tensor<T>({width}, T(0))) {}

  template <class X>
  Var<T> operator()(const X& x) const {
    return normalize(Var<T>(x));
  }
  static void fields(auto& m, auto&& f) { f("gain", m.gain), f("bias", m.bias); }

 private:
  Var<T> normalize(Var<T> x) const;
};

}  // namespace unroll::inline UNROLL_ISA
