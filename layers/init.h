#pragma once

#include <unroll/autograd/tensor/rng.h>
#include <unroll/autograd/tensor/tensor.h>

// Initial values. A matrix is [in, out]; for gates side by side, [in, gates * width], each gate is drawn as a
// matrix of its own.

namespace unroll::inline UNROLL_ISA::init {

/// Uniform in -limit .. limit.
template <Real T>
Tensor<T> uniform(const Shape& shape, double limit, Rng& rng);

/// Normal with the given standard deviation.
template <Real T>
Tensor<T> normal(const Shape& shape, double deviation, Rng& rng);

/// Uniform with limit sqrt(6 / (in + out)) (Glorot and Bengio 2010, eq. 16).
template <Real T>
Tensor<T> xavier(const Shape& shape, Rng& rng, Index gates = 1);

/// Normal with deviation sqrt(2 / in), for relu (He et al. 2015, eq. 10).
template <Real T>
Tensor<T> he(const Shape& shape, Rng& rng);

/// Orthonormal rows or columns, whichever are fewer, per gate (Saxe, McClelland and Ganguli 2014).
template <Real T>
Tensor<T> orthogonal(const Shape& shape, Rng& rng, Index gates = 1);

/// The identity times `scale`, for a square matrix (Le, Jaitly and Hinton 2015).
template <Real T>
Tensor<T> identity(Index width, double scale = 1);

}  // namespace unroll::inline UNROLL_ISA::init
