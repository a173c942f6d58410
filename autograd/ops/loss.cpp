#include <unroll/autograd/ops/loss.h>

#include <unroll/autograd/ops/class_targets.h>
#include <unroll/autograd/ops/line_sum.h>

namespace unroll::inline UNROLL_ISA::detail {
namespace {

template <Real T>
struct CrossEntropy {
  static constexpr const char* name = "cross_entropy";
  Var<T> logits;
  Targets<T> targets;

  void forward(Var<T> y) const {
    const View<const T> x = values(logits);
    Losses<T> losses{targets, result(y).data};
    for (Index r = 0; r < x.rows; ++r)
      losses.add(r, targets.counts(r) ? std::fma(targets.mass_of(r), line_sum<T>(x.row(r), x.cols).logsumexp(),
                                                 targets.loss_without_lse(x.row(r), 0, x.cols, r))
                                      : T(0));
    losses.finish();
  }
  void backward(Var<T> y) const {
    const T* const dy = gradient(y).data;
    const View<const T> x = values(logits);
    const auto [d, fresh] = y.tape().claim_gradient(logits.index());
    const auto row = y.tape().template scratch<T>(x.cols);
    for (Index r = 0; r < x.rows; ++r) {
      if (!targets.counts(r)) {
        if (fresh) std::fill_n(d.row(r), d.cols, T(0));
        continue;
      }
      T* const to = fresh ? d.row(r) : row.data();
      const T largest = simd::max(x.row(r), x.cols), total = sum_of_exponentials(x.row(r), x.cols, largest, to);
      targets.differentiate(to, to, 0, x.cols, r, targets.seed(dy, r) * targets.scale, 1 / total);
      if (!fresh) simd::add_scaled(T(1), to, d.row(r), d.cols);
    }
  }
};

}  // namespace

template <Real T>
Var<T> cross_entropy(Var<T> logits, std::span<const std::int32_t> targets, const CrossEntropyOptions& options) {
  Tape<T>& tape = logits.tape();
  const Shape shape = tape.checked(logits, "cross_entropy").shape;
  tape.template require<ShapeError>(shape.rank() >= 1, "cross_entropy: logits [..., classes] are needed, not {}",
                                    shape);
  const Targets<T> checked = check_targets<T>(tape, shape.rows(), shape.cols(), targets, options, shape);
  const Shape made = checked.each ? shape.without(-1) : Shape{};
  return record(made, CrossEntropy<T>{logits, checked}, logits);
}

template Var<float> cross_entropy(Var<float>, std::span<const std::int32_t>, const CrossEntropyOptions&);
template Var<double> cross_entropy(Var<double>, std::span<const std::int32_t>, const CrossEntropyOptions&);

}  // namespace unroll::inline UNROLL_ISA::detail
