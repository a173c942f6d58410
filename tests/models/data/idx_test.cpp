#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <unroll/models/data/idx.h>

using namespace unroll;

namespace {

struct File {
  std::string path = (std::filesystem::temp_directory_path() / fmt::format("unroll-idx-{}", ::getpid())).string();
  ~File() { std::filesystem::remove(path); }
  void write(const std::string& bytes) const { std::ofstream(path, std::ios::binary) << bytes; }
};

}  // namespace

TEST_CASE("idx: what is written is read again, with big-endian extents") {
  const File file;
  IdxArray array{{2, 1, 3}, {0, 255, 7, 1, 2, 3}};
  CHECK(array.stride() == 3);
  array.write(file.path);
  std::ifstream in(file.path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  CHECK(bytes.substr(0, 16) == std::string("\0\0\x08\x03\0\0\0\x02\0\0\0\x01\0\0\0\x03", 16));
  const IdxArray again = IdxArray::read(file.path);
  CHECK(again.extents == array.extents);
  CHECK(again.values == array.values);
  array.values.pop_back();
  CHECK_THROWS_AS(array.write(file.path), ValueError);
}

TEST_CASE("idx: what is no such file is an error that names it and the byte") {
  const File file;
  const auto says = [&](const std::string& bytes, const std::string& what) {
    file.write(bytes);
    CHECK_THROWS_WITH_AS(IdxArray::read(file.path), (file.path + what).c_str(), FileError);
  };
  says("", ": byte 0: this is no IDX file of unsigned bytes");
  says("a text\n", ": byte 0: this is no IDX file of unsigned bytes");
  says(std::string("\0\0\x0D\x01\0\0\0\x01xxxx", 12), ": byte 0: this is no IDX file of unsigned bytes");
  says(std::string("\0\0\x08\x02\0\0\0\x01\0\0", 10), ": byte 10: the file ends within its extents");
  says(std::string("\0\0\x08\x01\0\0\0\x02x", 9), ": byte 8: 1 values are there, not those of its extents");
  says(std::string("\0\0\x08\x01\0\0\0\x02xyz", 11), ": byte 8: 3 values are there, not those of its extents");
  says(std::string("\0\0\x08\x04\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFx", 21),
       ": byte 20: 1 values are there, not those of its extents");
  CHECK_THROWS_AS(IdxArray::read(file.path + "-missing"), FileError);
}
