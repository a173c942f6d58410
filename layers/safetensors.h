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

/// One array of a safetensors file: element type as the format names it ("F32", "F64", "I64", ...), extents, and raw
/// little-endian bytes.
struct StoredTensor {
  std::string dtype;
  Shape shape;
  std::vector<std::byte> bytes;
};

/// A safetensors file in memory: arrays by name, and texts by name. The format is eight bytes with the length of a
/// header, the header in JSON, and the arrays one after the other.
struct Safetensors {
  std::map<std::string, StoredTensor> tensors;
  std::map<std::string, std::string> metadata;

  /// Throws FileError naming the file, the entry and what is wrong. A file is refused as a whole unless its header says
  /// exactly what its bytes are: no gaps, no overlaps, nothing left over.
  static Safetensors read(const std::filesystem::path& path);
  /// Writes a temporary file beside `path`, to disk, and renames it: an interrupted write leaves
  /// what was there. Links are followed, a file that is replaced keeps its permissions. Throws
  /// FileError, also for an entry whose bytes do not match its dtype and shape, and leaves nothing.
  void write(const std::filesystem::path& path) const;

  /// Stores a copy as F32 or F64, in the place of what had the name.
  template <Real T>
  void put(const std::string& name, const Tensor<T>& value);
  /// An array of F32 or F64, converted. Throws FileError when there is none of that name, when it
  /// has another dtype, or when its bytes do not match its shape.
  template <Real T>
  Tensor<T> get(const std::string& name) const;
  /// Stores a copy as I64 of rank 1.
  void put_integers(const std::string& name, std::span<const std::int64_t> values);
  /// An array of I64 of any rank, in row-major order. Throws FileError as get() does.
  std::vector<std::int64_t> get_integers(const std::string& name) const;
};

}  // namespace unroll::inline UNROLL_ISA
