#pragma once

#include <unroll/autograd/ops/linalg.h>
#include <unroll/autograd/ops/loss.h>
#include <unroll/layers/init.h>
#include <unroll/layers/model.h>

namespace unroll::inline UNROLL_ISA {

/// x W + b over the last axis: [..., in] to [..., out]. Initial values uniform with limit 1 / sqrt(in).
template <Real T = float>
struct Linear {
  Parameter<T> weight;  // [in, out]
  Parameter<T> bias;    // [out]

  Linear(Index in, Index out, Rng& rng)
      : weight(init::uniform<T>({in, out}, limit(in), rng)), bias(init::uniform<T>({out}, limit(in), rng)) {}
  Linear(Tensor<T> weight, Tensor<T> bias) : weight(std::move(weight)), bias(std::move(bias)) {}

  template <class X>
  Var<T> operator()(const X& x) const {
    return affine(Var<T>(x), weight, bias);
  }
  static void fields(auto& m, auto&& f) { f("weight", m.weight), f("bias", m.bias); }

 private:
  static double limit(Index in) { return 1 / std::sqrt(static_cast<double>(std::max<Index>(1, in))); }
};

/// A weight without bias: x W. Initial values orthogonal if square, else as Linear.
template <Real T = float>
struct Matrix {
  Parameter<T> weight;  // [in, out]

  Matrix(Index in, Index out, Rng& rng)
      : weight(in == out
                   ? init::orthogonal<T>({in, out}, rng)
                   : init::uniform<T>({in, out}, 1 / std::sqrt(static_cast<double>(std::max<Index>(1, in))), rng)) {}
  explicit Matrix(Tensor<T> weight) : weight(std::move(weight)) {}

  template <class X>
  Var<T> operator()(const X& x) const {
    return matmul(Var<T>(x), weight);
  }
  static void fields(auto& m, auto&& f) { f("weight", m.weight); }
};

/// Cross entropy of head(h) without holding its logits: for large vocabularies.
template <Real T, class H>
Var<T> cross_entropy(const Linear<T>& head, const H& h, std::span<const std::int32_t> targets,
                     const CrossEntropyOptions& options = {}) {
  return linear_cross_entropy(Var<T>(h), head.weight, head.bias, targets, options);
}

}  // namespace unroll::inline UNROLL_ISA
