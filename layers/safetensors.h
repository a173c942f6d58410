#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <unroll/autograd/tensor/tensor.h>

namespace unroll::inline UNROLL_ISA {

/// One array of a safetensors file: element type as the format names it ("F32", "F64", "I64", ...), extents, raw
/// little-endian bytes.
struct StoredTensor {
  std::string dtype;
  Shape shape;
  std::vector<std::byte> bytes;
};

/// A safetensors file in memory: arrays by name, and texts by name.
struct Safetensors {
  std::map<std::string, StoredTensor> tensors;
  std::map<std::string, std::string> metadata;

  /// Throws FileError naming the file and what is wrong with it.
  static Safetensors read(const std::filesystem::path& path);
  void write(const std::filesystem::path& path) const;

  template <Real T>
  void put(const std::string& name, const Tensor<T>& value);
  template <Real T>
  Tensor<T> get(const std::string& name) const;
  void put_integers(const std::string& name, std::span<const std::int64_t> values);
  std::vector<std::int64_t> get_integers(const std::string& name) const;
};

}  // namespace unroll::inline UNROLL_ISA
