#include <unroll/autograd/ops/noise.h>

namespace unroll::inline UNROLL_ISA::detail {
namespace {

template <Real T>
struct Dropout {
  static constexpr const char* name = "dropout";
  static constexpr bool reads_result = false;
  Var<T> x;
  std::uint64_t seed, position;
  std::uint64_t threshold;  // bits below it drop the element
  T scale;

  T factor(Index element) const {
    return Rng::bits(seed, position + static_cast<std::uint64_t>(element)) < threshold ? T(0) : scale;
  }
  void forward(Var<T> y) const {
    const View<const T> from = values(x);
    const View<T> out = result(y);
    for (Index r = 0; r < out.rows; ++r)
      for (Index c = 0; c < out.cols; ++c) {
        const T f = factor(r * out.cols + c);
        out.row(r)[c] = f == 0 ? T(0) : f * from.row(r)[c];
      }
  }
  void backward(Var<T> y) const {
    const View<const T> dy = gradient(y);
    const View<T> dx = gradient(x);
    for (Index r = 0; r < dy.rows; ++r)
      for (Index c = 0; c < dy.cols; ++c) {
        const T f = factor(r * dy.cols + c);
        dx.row(r)[c] += f == 0 ? T(0) : f * dy.row(r)[c];
      }
  }
};

template <Real T>
struct GaussianNoise {
  static constexpr const char* name = "gaussian_noise";
  Var<T> x;
  std::uint64_t seed, position;
  double deviation;

  void forward(Var<T> y) const {
    const View<const T> from = values(x);
    const View<T> out = result(y);
    for (Index r = 0; r < out.rows; ++r)
      for (Index c = 0; c < out.cols; ++c) {
        const auto at = position + static_cast<std::uint64_t>(r * out.cols + c);
        out.row(r)[c] = from.row(r)[c] + static_cast<T>(deviation * Rng::normal(seed, at));
      }
  }
  void backward(Var<T> y) const {
    const View<const T> dy = gradient(y);
    const View<T> dx = gradient(x);
    for (Index r = 0; r < dy.rows; ++r) simd::add_scaled(T(1), dy.row(r), dx.row(r), dy.cols);
  }
};

}  // namespace

template <Real T>
Var<T> dropout(Var<T> x, double rate, Rng& rng) {
  Tape<T>& tape = x.tape();
  const Shape shape = tape.checked(x, "dropout").shape;
  tape.template require<ValueError>(rate >= 0 && rate < 1, "dropout: the rate {} is not in 0 <= rate < 1", rate);
  if (!tape.training() || rate == 0) return x;
  const auto threshold = static_cast<std::uint64_t>(rate * 0x1p64);
  const Dropout<T> rule{x, rng.seed(), rng.advance(static_cast<std::uint64_t>(shape.size())), threshold,
                        static_cast<T>(1 / (1 - rate))};
  return record(shape, rule, x);
}

template <Real T>
Var<T> gaussian_noise(Var<T> x, double deviation) {
  Tape<T>& tape = x.tape();
  const Shape shape = tape.checked(x, "gaussian_noise").shape;
  tape.template require<ValueError>(deviation >= 0, "gaussian_noise: the deviation {} is negative", deviation);
  if (!tape.training() || deviation == 0) return x;
  Rng& rng = tape.rng();
  const GaussianNoise<T> rule{x, rng.seed(), rng.advance(static_cast<std::uint64_t>(shape.size())), deviation};
  return record(shape, rule, x);
}

template Var<float> dropout(Var<float>, double, Rng&);
template Var<double> dropout(Var<double>, double, Rng&);
template Var<float> gaussian_noise(Var<float>, double);
template Var<double> gaussian_noise(Var<double>, double);

}  // namespace unroll::inline UNROLL_ISA::detail
