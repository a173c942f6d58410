#include <unroll/layers/safetensors.h>

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

namespace unroll::inline UNROLL_ISA {
using nlohmann::json;
template <Real T>
void Safetensors::put(const std::string& name, const Tensor<T>& value) {
  StoredTensor t{sizeof(T) == 4 ? "F32" : "F64", shape_of(value), {}};
  t.bytes.resize(value.size() * sizeof(T));
  std::memcpy(t.bytes.data(), value.data(), t.bytes.size());
  tensors[name] = std::move(t);
}
template <Real T>
Tensor<T> Safetensors::get(const std::string& name) const {
  const auto it = tensors.find(name);
  require<FileError>(it != tensors.end(), "safetensors: no entry {}", name);
  Tensor<T> out = make_tensor<T>(it->second.shape);
  if (it->second.dtype == "F32") { const float* p = reinterpret_cast<const float*>(it->second.bytes.data()); std::copy_n(p, out.size(), out.data()); }
  else { const double* p = reinterpret_cast<const double*>(it->second.bytes.data()); std::copy_n(p, out.size(), out.data()); }
  return out;
}
Safetensors Safetensors::read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  require<FileError>(in.good(), "safetensors: {} cannot be read", path.string());
  std::uint64_t n = 0; in.read(reinterpret_cast<char*>(&n), 8);
  require<FileError>(in.good() && n < 100000000, "safetensors: {} bad header", path.string());
  std::string header(n, ' '); in.read(header.data(), static_cast<std::streamsize>(n));
  std::string rest((std::istreambuf_iterator<char>(in)), {});
  json j = json::parse(header);
  Safetensors s;
  for (auto& [k, v] : j.items()) {
    if (k == "__metadata__") { for (auto& [a, b] : v.items()) s.metadata[a] = b; continue; }
    std::vector<Index> sh = v["shape"]; StoredTensor t{v["dtype"], Shape(std::span<const Index>(sh)), {}};
    std::size_t b = v["data_offsets"][0], e = v["data_offsets"][1]; t.bytes.resize(e - b); std::memcpy(t.bytes.data(), rest.data() + b, e - b); s.tensors[k] = t;
  }
  return s;
}
void Safetensors::write(const std::filesystem::path& path) const {
  json j; j["__metadata__"] = metadata; std::size_t at = 0;
  for (auto& [k, t] : tensors) { j[k] = {{"dtype", t.dtype}, {"shape", std::vector<Index>(t.shape.extents().begin(), t.shape.extents().end())}, {"data_offsets", {at, at + t.bytes.size()}}}; at += t.bytes.size(); }
  std::string h = j.dump(); while (h.size() % 8) h += ' ';
  std::ofstream out(path.string() + ".tmp", std::ios::binary); std::uint64_t n = h.size(); out.write(reinterpret_cast<char*>(&n), 8); out << h;
  for (auto& [k, t] : tensors) out.write(reinterpret_cast<const char*>(t.bytes.data()), static_cast<std::streamsize>(t.bytes.size()));
  out.close(); std::filesystem::rename(path.string() + ".tmp", path);
}
template void Safetensors::put(const std::string&, const Tensor<float>&);
template void Safetensors::put(const std::string&, const Tensor<double>&);
template Tensor<float> Safetensors::get(const std::string&) const;
template Tensor<double> Safetensors::get(const std::string&) const;
}
