#include <unroll/layers/model.h>

#include <algorithm>

#include <unroll/layers/safetensors.h>

namespace unroll::inline UNROLL_ISA::detail {

template <Real T>
void save_tensors(const std::filesystem::path& file, const std::vector<NamedTensor<T>>& tensors,
                  const Metadata& metadata) {
  Safetensors out;
  out.metadata = metadata;
  for (const NamedTensor<T>& t : tensors) out.put(t.name, *t.value);
  out.write(file);
}

template <Real T>
Metadata load_tensors(const std::filesystem::path& file,
                      const std::vector<std::pair<std::string, Parameter<T>*>>& into) {
  const Safetensors in = Safetensors::read(file);
  std::vector<Tensor<T>> values;
  for (const auto& [path, parameter] : into) {
    const auto found = in.tensors.find(path);
    require<FileError>(found != in.tensors.end(), "load: {} has no entry {}", file.string(), path);
    require<FileError>(found->second.shape == parameter->shape(), "load: entry {} of {} has shape {}, the model {}",
                       path, file.string(), found->second.shape, parameter->shape());
    values.push_back(in.get<T>(path));
  }
  for (const auto& [name, tensor] : in.tensors) {
    const bool known = std::any_of(into.begin(), into.end(), [&](const auto& p) { return p.first == name; });
    require<FileError>(known || name.starts_with(training_prefix), "load: {} has an entry {} that the model has not",
                       file.string(), name);
  }
  for (std::size_t i = 0; i < into.size(); ++i) into[i].second->edit() = values[i];
  return in.metadata;
}

template void save_tensors(const std::filesystem::path&, const std::vector<NamedTensor<float>>&, const Metadata&);
template void save_tensors(const std::filesystem::path&, const std::vector<NamedTensor<double>>&, const Metadata&);
template Metadata load_tensors(const std::filesystem::path&,
                               const std::vector<std::pair<std::string, Parameter<float>*>>&);
template Metadata load_tensors(const std::filesystem::path&,
                               const std::vector<std::pair<std::string, Parameter<double>*>>&);

}  // namespace unroll::inline UNROLL_ISA::detail
