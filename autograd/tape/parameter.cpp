#include <unroll/autograd/tape/parameter.h>

#include <atomic>

#include <unroll/autograd/tensor/denormals.h>
#include <unroll/autograd/tensor/simd.h>

namespace unroll::inline UNROLL_ISA {

std::uint64_t detail::next_version() {
  static std::atomic<std::uint64_t> last = 0;
  return ++last;
}

template <Real T>
void Gradient<T>::allocate() const {
  if (shape_of(values_) != shape_ || values_.size() == 0) values_ = make_tensor<T>(shape_);
}

template <Real T>
void Gradient<T>::zero_untouched_rows() const {
  const Index cols = shape_.cols();
  for (Index r = 0; r < shape_.rows(); ++r)
    if (!is_touched_[static_cast<std::size_t>(r)]) std::fill_n(values_.data() + r * cols, cols, T(0));
}

template <Real T>
void Gradient<T>::fill_up() {
  const auto [view, overwrite] = claim();
  if (overwrite) std::fill_n(view.data, view.size(), T(0));
}

template <Real T>
std::pair<View<T>, bool> Gradient<T>::claim() {
  allocate();
  const View<T> view{values_.data(), shape_.rows(), shape_.cols(), shape_.cols()};
  const State before = state_;
  if (before == State::rows) {
    zero_untouched_rows();
    clear();
  }
  state_ = State::full;
  return {view, before == State::empty};
}

template <Real T>
T* Gradient<T>::row(Index index) {
  allocate();
  T* const data = values_.data() + index * shape_.cols();
  if (state_ == State::full) return data;
  if (is_touched_.empty()) is_touched_.resize(static_cast<std::size_t>(shape_.rows()));
  state_ = State::rows;
  if (!is_touched_[static_cast<std::size_t>(index)]) {
    is_touched_[static_cast<std::size_t>(index)] = true;
    rows_.push_back(index);
    std::fill_n(data, shape_.cols(), T(0));
  }
  return data;
}

template <Real T>
void Gradient<T>::clear() {
  for (Index r : rows_) is_touched_[static_cast<std::size_t>(r)] = false;
  rows_.clear();
  state_ = State::empty;
}

template <Real T>
const Tensor<T>& Gradient<T>::values() const {
  allocate();
  if (state_ == State::empty) std::fill_n(values_.data(), shape_.size(), T(0));
  if (state_ == State::rows) zero_untouched_rows();
  return values_;
}

template <Real T>
void Gradient<T>::add(const Gradient& other) {
  require<ShapeError>(shape_ == other.shape_, "gradient: shapes differ: {} and {}", shape_, other.shape_);
  const FlushDenormals no_denormals;
  if (other.state_ == State::full) {
    const auto [view, overwrite] = claim();
    if (overwrite)
      std::copy_n(other.values_.data(), shape_.size(), view.data);
    else
      simd::add_scaled(T(1), other.values_.data(), view.data, shape_.size());
  } else {
    for (Index r : other.rows_) simd::add_scaled(T(1), other.values_.data() + r * shape_.cols(), row(r), shape_.cols());
  }
}

template <Real T>
const Packed<T>& Parameter<T>::packed(Trans trans) const {
  require<ShapeError>(shape_.rank() == 2, "packed: a matrix is needed, not {}", shape_);
  Cache& cache = trans == Trans::yes ? packed_transposed_ : packed_;
  const std::lock_guard lock(cache.mutex);
  if (cache.version != version_) {
    cache.value.assign(trans, view_of(value_));
    cache.version = version_;
  }
  return cache.value;
}

template <Real T>
Gradient<T>& Gradients<T>::of(const Parameter<T>& parameter) {
  for (auto& [p, gradient] : entries_)
    if (p == &parameter) {
      if (gradient->shape() != parameter.shape()) *gradient = Gradient<T>(parameter.shape());
      return *gradient;
    }
  entries_.emplace_back(&parameter, std::make_unique<Gradient<T>>(parameter.shape()));
  return *entries_.back().second;
}

template <Real T>
void Gradients<T>::deliver(Workers* workers) {
  const auto deliver_one = [&](Index i) {
    const auto& [parameter, gradient] = entries_[static_cast<std::size_t>(i)];
    if (gradient->empty()) return;  // its parameter may be gone
    parameter->gradient().add(*gradient);
    gradient->clear();
  };
  run(workers, static_cast<Index>(entries_.size()), deliver_one);
}

template <Real T>
void Gradients<T>::clear() {
  for (const auto& [parameter, gradient] : entries_) gradient->clear();
}

template class Gradient<float>;
template class Gradient<double>;
template class Gradients<float>;
template class Gradients<double>;
template class Parameter<float>;
template class Parameter<double>;

}  // namespace unroll::inline UNROLL_ISA
