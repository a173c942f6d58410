#pragma once

#include <cstring>

#include <unroll/layers/safetensors.h>

// Reference values, and the distance of two arrays.

namespace unroll {

/// The largest difference of two arrays, relative to the largest element of `want`; infinite for a NaN or another
/// shape.
template <class A, class B>
double distance(const A& got, const B& want) {
  if (shape_of(got) != shape_of(want)) return INFINITY;
  double difference = 0, scale = 0;
  auto g = got.template begin<xt::layout_type::row_major>();
  for (auto w = want.template begin<xt::layout_type::row_major>(),
            end = want.template end<xt::layout_type::row_major>();
       w != end; ++w, ++g) {
    const double d = std::abs(static_cast<double>(*g) - static_cast<double>(*w));
    if (!(d <= difference)) difference = d;
    if (std::isnan(d)) return INFINITY;
    scale = std::max(scale, std::abs(static_cast<double>(*w)));
  }
  return difference == 0 ? 0 : difference / std::max(scale, 1e-300);
}

/// A file of tests/fixtures.
class StoredReference {
 public:
  explicit StoredReference(const std::string& name)
      : name_(name),
        file_(Safetensors::read(std::string(UNROLL_SOURCE_DIR "/tests/fixtures/") + name + ".safetensors")) {}

  Tensor<double> at(const std::string& name) const { return file_.get<double>(name); }
  template <Real T>
  Tensor<T> as(const std::string& name) const {
    return Tensor<T>(xt::cast<T>(at(name)));
  }
  template <class I = Index>
  std::vector<I> integers(const std::string& name) const {
    const StoredTensor& stored = file_.tensors.at(name);
    require<FileError>(stored.dtype == "I64", "fixture: {} holds no integers", name);
    std::vector<std::int64_t> raw(stored.bytes.size() / 8);
    std::memcpy(raw.data(), stored.bytes.data(), stored.bytes.size());
    return std::vector<I>(raw.begin(), raw.end());
  }
  double number(const std::string& name) const { return std::stod(file_.metadata.at(name)); }

  const std::string& name() const { return name_; }

 private:
  std::string name_;
  Safetensors file_;
};

/// How far results are from a reference: the largest distance, and of which array.
struct Parity {
  double worst = 0;
  std::string of;

  template <class A>
  void compare(const StoredReference& f, const std::string& name, const A& got) {
    const double d = distance(got, f.at(name));
    if (d > worst || of.empty()) *this = {d, f.name() + ": " + name};
  }
};

}  // namespace unroll
