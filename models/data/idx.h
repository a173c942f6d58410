#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

namespace unroll::inline UNROLL_ISA {

/// An array of unsigned bytes as the IDX files of MNIST hold it: two zero bytes, the type 8, the number of extents, the
/// extents as big-endian 32-bit numbers, and the values in row-major order (LeCun, Cortes and Burges).
struct IdxArray {
  std::vector<Index> extents;
  std::vector<std::uint8_t> values;

  /// How many values an element of the first extent has.
  Index stride() const;

  /// Reads a file, unpacked if it is compressed. Throws FileError naming it, and the byte, when it is something else or
  /// has more or fewer values than it says.
  static IdxArray read(const std::string& path);
  /// Throws FileError when it cannot be written, and ValueError unless the values fill the extents.
  void write(const std::string& path) const;
};

}  // namespace unroll::inline UNROLL_ISA
