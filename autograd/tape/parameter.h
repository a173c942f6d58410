#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include <unroll/autograd/tape/workers.h>
#include <unroll/autograd/tensor/gemm.h>

namespace unroll::inline UNROLL_ISA {

namespace detail {
/// A number that was not returned before: a parameter with the version of another has its value.
std::uint64_t next_version();
}  // namespace detail

/// What backward adds into for one parameter: an array, or some of its rows. Clearing is free: memory is
/// zeroed when it is next touched.
template <Real T>
class Gradient {
 public:
  Gradient() = default;
  explicit Gradient(const Shape& shape) : shape_(shape) {}

  const Shape& shape() const { return shape_; }

  /// The whole array, to be added to.
  View<T> dense() {
    if (state_ != State::full) [[unlikely]]
      fill_up();
    return {values_.data(), shape_.rows(), shape_.cols(), shape_.cols()};
  }
  /// The whole array, and whether what was in it may be overwritten instead of added to.
  std::pair<View<T>, bool> claim();
  /// One row (an index into all axes but the last), to be added to.
  T* row(Index index);

  /// Nothing was added since the last clear().
  bool empty() const { return state_ == State::empty; }
  void clear();
  const Tensor<T>& values() const;
  /// The memory behind for_each_run().
  const T* data() const { return values_.data(); }
  /// Calls f(offset, count) for each run of elements that may be non-zero.
  template <class F>
  void for_each_run(F f) const {
    if (state_ == State::full) f(Index{0}, shape_.size());
    if (state_ == State::rows)
      for (Index r : rows_) f(r * shape_.cols(), shape_.cols());
  }
  /// Adds another gradient of the same shape.
  void add(const Gradient& other);

 private:
  enum class State : std::uint8_t { empty, rows, full };
  void allocate() const;
  void fill_up();
  void zero_untouched_rows() const;

  Shape shape_;
  mutable Tensor<T> values_;
  std::vector<Index> rows_;
  std::vector<bool> is_touched_;
  State state_ = State::empty;
};

/// A trainable array. Its value is read-only but through edit(), so that whatever was derived from it
/// (a transposed copy, a recorded formula) knows when it is out of date.
template <Real T = float>
class Parameter {
 public:
  using scalar = T;

  Parameter() = default;
  explicit Parameter(Tensor<T> value) : value_(std::move(value)), shape_(shape_of(value_)), gradient_(shape_) {}

  const Tensor<T>& value() const { return value_; }
  const Shape& shape() const { return shape_; }
  /// The value, to be written to; its shape must stay.
  Tensor<T>& edit() {
    version_ = detail::next_version();
    return value_;
  }
  std::uint64_t version() const { return version_; }

  /// What backward has added up; zeros when it has added nothing.
  const Tensor<T>& grad() const { return gradient_.values(); }
  Gradient<T>& gradient() const { return gradient_; }
  void clear_grad() { gradient_.clear(); }

  /// A frozen parameter takes part in the forward pass and receives no gradient.
  bool frozen() const { return frozen_; }
  void freeze(bool frozen = true) { frozen_ = frozen; }

  /// Place in the model, such as "encoder/cell/recurrent/weight"; empty until a model listed it.
  const std::string& path() const { return path_; }
  /// The path, or "(unnamed)".
  std::string_view name() const { return path_.empty() ? std::string_view("(unnamed)") : path_; }
  void set_path(std::string path) { path_ = std::move(path); }

  /// The matrix, or its transpose, as the right operand of products: made at most once per version.
  const Packed<T>& packed(Trans trans = Trans::no) const;

 private:
  struct Cache {
    Cache() = default;
    Cache(const Cache&) {}
    Cache& operator=(const Cache&) {
      version = 0;
      return *this;
    }
    std::mutex mutex;
    std::uint64_t version = 0;
    Packed<T> value;
  };

  Tensor<T> value_;
  Shape shape_{0};
  std::string path_;
  std::uint64_t version_ = detail::next_version();
  bool frozen_ = false;
  mutable Gradient<T> gradient_{Shape{0}};
  mutable Cache packed_, packed_transposed_;
};

/// Gradients of a backward pass kept apart from the parameters, for a thread of its own: pass it to
/// Tape::backward and add it to the parameters when all threads are done.
template <Real T>
class Gradients {
 public:
  Gradient<T>& of(const Parameter<T>& parameter);
  /// Adds all to the parameters' own gradients, and clears; with `workers`, several parameters at a time.
  void deliver(Workers* workers = nullptr);
  void clear();

 private:
  std::vector<std::pair<const Parameter<T>*, std::unique_ptr<Gradient<T>>>> entries_;
};

extern template class Gradient<float>;
extern template class Gradient<double>;
extern template class Gradients<float>;
extern template class Gradients<double>;
extern template class Parameter<float>;
extern template class Parameter<double>;

}  // namespace unroll::inline UNROLL_ISA
