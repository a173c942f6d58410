#pragma once

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <unroll/autograd/tape/fields.h>

// What follows from `fields`: names, counting, printing, saving and loading of any model.

namespace unroll::inline UNROLL_ISA {

/// Calls f(path, parameter) for each parameter of a model, in the order of its fields. Paths are the names of the
/// fields joined by "/", elements of lists are numbered.
template <class M, class F>
void for_each_parameter(M& model, F&& f, const std::string& path = "") {
  using X = std::remove_cvref_t<M>;
  if constexpr (detail::is_parameter<X>) {
    f(path, model);
  } else if constexpr (detail::is_optional<X>) {
    if (model) for_each_parameter(*model, f, path);
  } else if constexpr (HasFields<X>) {
    X::fields(model, [&](const char* name, auto& part) {
      for_each_parameter(part, f, path.empty() ? std::string(name) : path + "/" + name);
    });
  } else if constexpr (std::ranges::range<X>) {
    std::size_t i = 0;
    for (auto& part : model) for_each_parameter(part, f, fmt::format("{}{}{}", path, path.empty() ? "" : "/", i++));
  } else {
    static_assert(HasFields<X>, "a layer is a struct with `static void fields(auto& m, auto&& f)`");
  }
}

/// The parameters of a model, for an optimizer or a gradient check. Each learns its path here; one with several names
/// is listed once, under the first. For a model in double: parameters<double>(model).
template <Real T = float, class M>
std::vector<Parameter<T>*> parameters(M& model) {
  std::vector<Parameter<T>*> result;
  for_each_parameter(model, [&]<class U>(const std::string& path, Parameter<U>& p) {
    static_assert(std::same_as<T, U>, "the model has another scalar: say parameters<float> or parameters<double>");
    if (std::find(result.begin(), result.end(), &p) != result.end()) return;
    if (p.path() != path) p.set_path(path);
    result.push_back(&p);
  });
  return result;
}

/// The number of values in all parameters; those with several names count once.
template <class M>
Index count_parameters(const M& model) {
  Index count = 0;
  std::vector<const void*> seen;
  for_each_parameter(model, [&](const std::string&, const auto& p) {
    if (std::find(seen.begin(), seen.end(), &p) != seen.end()) return;
    seen.push_back(&p);
    count += p.shape().size();
  });
  return count;
}

/// A table of paths, shapes and counts, with the total.
template <class M>
std::string describe(const M& model) {
  std::string text;
  for_each_parameter(model, [&](const std::string& path, const auto& p) {
    text += fmt::format("{:<40} {:<16} {:>12}{}\n", path, fmt::format("{}", p.shape()), p.shape().size(),
                        p.frozen() ? "  frozen" : "");
  });
  return text + fmt::format("{:<40} {:<16} {:>12}\n", "total", "", count_parameters(model));
}

using Metadata = std::map<std::string, std::string>;

/// Entries of a model file whose names start with this belong to a checkpoint, not to the model.
inline constexpr const char* training_prefix = "train/";

namespace detail {

template <Real T>
struct NamedTensor {
  std::string name;
  const Tensor<T>* value;
};
template <Real T>
void save_tensors(const std::filesystem::path& file, const std::vector<NamedTensor<T>>& tensors,
                  const Metadata& metadata);
template <Real T>
Metadata load_tensors(const std::filesystem::path& file,
                      const std::vector<std::pair<std::string, Parameter<T>*>>& into);

}  // namespace detail

/// Writes the parameters under their paths, and `metadata`, as a safetensors file. It is written to a temporary file
/// that then takes the name, so that an interrupted save loses nothing. Throws FileError.
template <class M>
void save(const M& model, const std::filesystem::path& file, const Metadata& metadata = {}) {
  std::vector<detail::NamedTensor<float>> single;
  std::vector<detail::NamedTensor<double>> real;
  for_each_parameter(model, [&]<class T>(const std::string& path, const Parameter<T>& p) {
    if constexpr (std::same_as<T, float>)
      single.push_back({path, &p.value()});
    else
      real.push_back({path, &p.value()});
  });
  if (real.empty())
    detail::save_tensors(file, single, metadata);
  else
    detail::save_tensors(file, real, metadata);
}

/// Reads a file written by save() and returns its metadata. Throws FileError naming the entry when one is missing, left
/// over or of another shape; the model is then unchanged.
template <class M>
Metadata load(M& model, const std::filesystem::path& file) {
  std::vector<std::pair<std::string, Parameter<float>*>> single;
  std::vector<std::pair<std::string, Parameter<double>*>> real;
  for_each_parameter(model, [&]<class T>(const std::string& path, Parameter<T>& p) {
    if constexpr (std::same_as<T, float>)
      single.emplace_back(path, &p);
    else
      real.emplace_back(path, &p);
  });
  return real.empty() ? detail::load_tensors(file, single) : detail::load_tensors(file, real);
}

}  // namespace unroll::inline UNROLL_ISA
