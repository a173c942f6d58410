#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

// The header of a safetensors file: JSON that says what lies where.

namespace unroll::inline UNROLL_ISA::detail {

struct SafetensorsHeader {
  /// An array, and where its bytes lie among the data.
  struct Entry {
    std::string name, dtype;
    Shape shape;
    std::uint64_t begin, end;
  };
  static constexpr std::uint64_t size_limit = 100'000'000;

  std::vector<Entry> entries;  // in the order of their bytes, without gaps
  std::map<std::string, std::string> metadata;

  /// Reads the header of a file that has `data_size` bytes of data. Throws FileError, naming `path`, unless all of it
  /// is as the format wants it.
  static SafetensorsHeader parse(const std::filesystem::path& path, const std::string& text, std::uint64_t data_size);
  /// The text for a file, padded so that the data are aligned. Throws FileError.
  std::string text(const std::filesystem::path& path) const;
};

/// Bytes of an element, 0 for an unknown type.
std::uint64_t element_size(std::string_view dtype);

/// What keeps so many bytes from being an array of that type and shape; empty when nothing does.
std::string defect(const std::string& dtype, const Shape& shape, std::uint64_t bytes);

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& why);

}  // namespace unroll::inline UNROLL_ISA::detail
