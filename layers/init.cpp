#include <unroll/layers/init.h>

#include <cmath>

#include <unroll/autograd/tensor/simd.h>

namespace unroll::inline UNROLL_ISA::init {
namespace {

void require_matrix(const Shape& shape, Index gates, const char* who) {
  require<ShapeError>(shape.rank() == 2 && gates > 0 && shape[1] % gates == 0,
                      "{}: a matrix [in, {} * width] is needed, not {}", who, gates, shape);
}

}  // namespace

template <Real T>
Tensor<T> uniform(const Shape& shape, double limit, Rng& rng) {
  Tensor<T> t = make_tensor<T>(shape);
  for (T& v : t) v = static_cast<T>(rng.uniform(-limit, limit));
  return t;
}

template <Real T>
Tensor<T> normal(const Shape& shape, double deviation, Rng& rng) {
  Tensor<T> t = make_tensor<T>(shape);
  for (T& v : t) v = static_cast<T>(deviation * rng.normal());
  return t;
}

template <Real T>
Tensor<T> xavier(const Shape& shape, Rng& rng, Index gates) {
  require_matrix(shape, gates, "xavier");
  return uniform<T>(shape, std::sqrt(6.0 / static_cast<double>(shape[0] + shape[1] / gates)), rng);
}

template <Real T>
Tensor<T> he(const Shape& shape, Rng& rng) {
  require_matrix(shape, 1, "he");
  return normal<T>(shape, std::sqrt(2.0 / static_cast<double>(shape[0])), rng);
}

template <Real T>
Tensor<T> orthogonal(const Shape& shape, Rng& rng, Index gates) {
  require_matrix(shape, gates, "orthogonal");
  const Index rows = shape[0], cols = shape[1] / gates;
  const Index count = std::min(rows, cols), length = std::max(rows, cols);
  Tensor<T> t = make_tensor<T>(shape);
  for (Index g = 0; g < gates; ++g) {
    // Modified Gram and Schmidt on the shorter side, twice for accuracy.
    std::vector<std::vector<double>> basis;
    while (static_cast<Index>(basis.size()) < count) {
      std::vector<double> v(static_cast<std::size_t>(length));
      for (double& e : v) e = rng.normal();
      double norm = 0;
      for (int pass = 0; pass < 2; ++pass) {
        for (const auto& b : basis)
          simd::add_scaled(-simd::dot(v.data(), b.data(), length), b.data(), v.data(), length);
        norm = std::sqrt(simd::dot(v.data(), v.data(), length));
        for (double& e : v) e /= norm;
      }
      if (std::isfinite(norm) && norm > 1e-8) basis.push_back(std::move(v));
    }
    for (Index r = 0; r < rows; ++r)
      for (Index c = 0; c < cols; ++c) {
        const auto [vector, element] = rows <= cols ? std::pair{r, c} : std::pair{c, r};
        t.data()[r * shape[1] + g * cols + c] =
            static_cast<T>(basis[static_cast<std::size_t>(vector)][static_cast<std::size_t>(element)]);
      }
  }
  return t;
}

template <Real T>
Tensor<T> identity(Index width, double scale) {
  Tensor<T> t = make_tensor<T>({width, width}, T(0));
  for (Index i = 0; i < width; ++i) t.data()[i * width + i] = static_cast<T>(scale);
  return t;
}

#define UNROLL_INSTANTIATE(T)                               \
  template Tensor<T> uniform(const Shape&, double, Rng&);   \
  template Tensor<T> normal(const Shape&, double, Rng&);    \
  template Tensor<T> xavier(const Shape&, Rng&, Index);     \
  template Tensor<T> he(const Shape&, Rng&);                \
  template Tensor<T> orthogonal(const Shape&, Rng&, Index); \
  template Tensor<T> identity(Index, double);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)

}  // namespace unroll::inline UNROLL_ISA::init
