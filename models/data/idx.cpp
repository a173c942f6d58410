#include <unroll/models/data/idx.h>

#include <fstream>

#include <unroll/models/data/files.h>

namespace unroll::inline UNROLL_ISA {
namespace {

constexpr std::size_t magic_bytes = 4, extent_bytes = 4, most_extents = 4;
constexpr std::uint8_t type_byte = 8;

std::uint8_t byte(const std::string& bytes, std::size_t at) { return static_cast<std::uint8_t>(bytes[at]); }

bool has_magic(const std::string& bytes) {
  return bytes.size() >= magic_bytes && byte(bytes, 0) == 0 && byte(bytes, 1) == 0 && byte(bytes, 2) == type_byte &&
         byte(bytes, 3) >= 1 && byte(bytes, 3) <= most_extents;
}

}  // namespace

Index IdxArray::stride() const {
  Index stride = 1;
  for (std::size_t i = 1; i < extents.size(); ++i) stride *= extents[i];
  return stride;
}

IdxArray IdxArray::read(const std::string& path) {
  const std::string bytes = read_file(path);
  require<FileError>(has_magic(bytes), "{}: byte 0: this is no IDX file of unsigned bytes", path);
  const std::size_t count = byte(bytes, 3), begin = magic_bytes + extent_bytes * count;
  require<FileError>(bytes.size() >= begin, "{}: byte {}: the file ends within its extents", path, bytes.size());
  IdxArray array;
  std::uint64_t total = 1;
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t extent = 0;
    for (std::size_t k = 0; k < extent_bytes; ++k)
      extent = extent << 8U | byte(bytes, magic_bytes + extent_bytes * i + k);
    array.extents.push_back(static_cast<Index>(extent));
    // More than the file has is enough to know, and the product of two such numbers cannot overflow.
    total = std::min<std::uint64_t>(total * extent, bytes.size());
  }
  require<FileError>(bytes.size() - begin == total, "{}: byte {}: {} values are there, not those of its extents", path,
                     begin, bytes.size() - begin);
  array.values.assign(bytes.begin() + static_cast<std::ptrdiff_t>(begin), bytes.end());
  return array;
}

void IdxArray::write(const std::string& path) const {
  require<ValueError>(
      !extents.empty() && extents.size() <= most_extents && static_cast<Index>(values.size()) == extents[0] * stride(),
      "idx: {} values for {} extents of {} values", values.size(), extents.size(),
      extents.empty() ? 0 : extents[0] * stride());
  std::ofstream out(path, std::ios::binary);
  out << '\0' << '\0' << static_cast<char>(type_byte) << static_cast<char>(extents.size());
  for (const Index extent : extents)
    for (const unsigned shift : {24U, 16U, 8U, 0U})
      out << static_cast<char>(static_cast<std::uint32_t>(extent) >> shift & 0xFFU);
  out.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size()));
  out.close();
  require<FileError>(!out.fail(), "{} cannot be written", path);
}

}  // namespace unroll::inline UNROLL_ISA
