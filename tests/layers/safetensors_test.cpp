#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <unroll/layers/safetensors.h>
#include <csignal>
#include <cstring>
#include <fstream>

using namespace unroll;
namespace fs = std::filesystem;

namespace {

/// A folder of its own that goes when the test ends.
struct Folder {
  fs::path path = fs::temp_directory_path() / fmt::format("unroll-safetensors-{}", ::getpid());
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
};

std::string bytes_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void put_bytes(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

/// A file with the given header and so many bytes of data.
std::string file_of(const std::string& header, std::size_t data) {
  const std::uint64_t size = header.size();
  std::string bytes(reinterpret_cast<const char*>(&size), 8);
  return bytes + header + std::string(data, '\0');
}

std::string problem_of(const fs::path& path) {
  try {
    Safetensors::read(path);
  } catch (const FileError& error) { return error.what(); }
  return "none";
}

}  // namespace

TEST_CASE("safetensors: arrays, integers and texts come back as they went") {
  const Folder folder;
  Safetensors out;
  const Tensor<float> a{{1.5F, -2.0F, 3.25F}, {0.0F, 1e-30F, 4.0F}};
  const Tensor<double> b{1.0 / 3.0};
  out.put("layer/weight", a);
  out.put("b", b);
  out.put("scalar", make_tensor<double>({}, 7.0));
  out.put("nothing", make_tensor<float>({0, 3}));
  out.put_integers("lengths", std::vector<std::int64_t>{5, -2, INT64_MAX});
  out.metadata = {{"config", "{\"hidden\": 3}"}, {"text", "caf\xC3\xA9 \"quoted\"\n"}};
  out.write(folder.path / "m");
  const Safetensors in = Safetensors::read(folder.path / "m");
  CHECK(in.metadata == out.metadata);
  CHECK(in.get<float>("layer/weight") == a);
  CHECK(in.get<double>("b") == b);
  CHECK(in.get<double>("layer/weight")(0, 2) == 3.25);
  CHECK(in.get<float>("b")(0) == static_cast<float>(1.0 / 3.0));
  CHECK(shape_of(in.get<double>("scalar")) == Shape{});
  CHECK(in.get<double>("scalar")() == 7.0);
  CHECK(shape_of(in.get<float>("nothing")) == Shape{0, 3});
  CHECK(in.get_integers("lengths") == std::vector<std::int64_t>{5, -2, INT64_MAX});
  CHECK_THROWS_WITH_AS(in.get<float>("lengths"), "safetensors: entry lengths has dtype I64, not F32 or F64", FileError);
  CHECK_THROWS_WITH_AS(in.get<float>("none"), "safetensors: there is no entry none", FileError);
  CHECK_THROWS_AS(in.get_integers("b"), FileError);
}

TEST_CASE("safetensors: the same content gives the same bytes, and data are aligned") {
  const Folder folder;
  Safetensors out;
  out.put("a", Tensor<float>{1, 2, 3});
  out.put("b", Tensor<double>{1, 2});
  out.write(folder.path / "x");
  Safetensors::read(folder.path / "x").write(folder.path / "y");
  CHECK(bytes_of(folder.path / "x") == bytes_of(folder.path / "y"));
  std::uint64_t header = 0;
  std::memcpy(&header, bytes_of(folder.path / "x").data(), 8);
  CHECK(header % 8 == 0);
  CHECK(bytes_of(folder.path / "x").find("\"b\"") < bytes_of(folder.path / "x").find("\"a\""));
}

TEST_CASE("safetensors: hostile files are refused with a sentence") {
  const Folder folder;
  const fs::path file = folder.path / "hostile";
  const auto refused = [&](const std::string& header, std::size_t data, const std::string& why) {
    put_bytes(file, file_of(header, data));
    const std::string problem = problem_of(file);
    CAPTURE(header.substr(0, 200));
    CAPTURE(problem);
    CHECK(problem.starts_with("safetensors: "));
    CHECK(problem.find(why) != std::string::npos);
    CHECK(problem.find("hostile") != std::string::npos);
  };
  refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 7, "lies at 0 .. 8 of 7 bytes");
  refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 9, "1 bytes after the last entry");
  refused(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8, "has 8 bytes for 3 elements");
  refused(R"({"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}})", 8, "unknown dtype F33");
  refused(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8, "negative");
  refused(R"({"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,8]}})", 8, "overflows");
  refused(R"({"a":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}})", 8, "not whole");
  refused(R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]}})", 8, "overflows");
  refused(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", 0, "overflows");
  refused(R"({"a":{"dtype":"F32","shape":[100000000000,100000000000],"data_offsets":[0,0]}})", 0, "overflows");
  refused(R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,2],"data_offsets":[0,8]}})", 8, "too many axes");
  refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8, "lies at 8 .. 0");
  refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,16]}})", 16, "more than two");
  refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})", 8, "lacks");
  refused(R"({"a":{"shape":[2],"data_offsets":[0,8]}})", 8, "lacks");
  refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"more":1}})", 8, "unknown field more");
  refused(R"({"a":{"dtype":7,"shape":[2],"data_offsets":[0,8]}})", 8, "number where none belongs");
  refused(R"({"a":{"dtype":"F32","dtype":"F64","shape":[1],"data_offsets":[0,8]}})", 8, "two dtypes");
  refused(
      R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})", 6,
      "inside what ends at byte 4");
  refused(
      R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[6,10]}})",
      10, "leaving a gap from byte 4");
  refused(
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", 2,
      "listed twice");
  refused(R"({"__metadata__":{"a":1}})", 0, "number where none belongs");
  refused(R"({"__metadata__":{"a":{"b":"c"}}})", 0, "object where none belongs");
  refused(R"({"__metadata__":{},"__metadata__":{}})", 0, "twice");
  refused(R"({"a":null})", 0, "null");
  refused(R"({"a":3})", 0, "number where none belongs");
  refused(R"({"a":{"dtype":"U8")", 0, "not JSON");
  refused("{\"a\xFF\":{}}", 0, "not JSON");
  refused(R"({"__metadata__":{"a":"\ud800"}})", 0, "not JSON");
  refused(R"({"__metadata__":[]})", 0, "list where none belongs");
  refused(R"({"__metadata__":{"a":"b","a":"c"}})", 0, "key a twice");
  refused(R"({"a":{}})", 0, "entry a that lacks");
  refused("{} {}", 0, "not JSON at byte 4");
  refused(std::string("{}\0{}", 5), 0, "not JSON at byte 3");
  refused("[]", 0, "does not start with {");
  refused("", 0, "does not start with {");
  refused("{\"a\":" + std::string(1'000'000, '['), 0, "list where none belongs");
  std::string deep = "{";
  for (int i = 0; i < 100000; ++i) deep += "\"a\":{";
  refused(deep, 0, "unknown field a");
  refused("{\"\\n\\u001b" + std::string(1000, 'n') + "\":3}", 0, "entry ??" + std::string(98, 'n') + "... with");
}

TEST_CASE("safetensors: a header may be padded with blanks, entries may be listed in any order") {
  const Folder folder;
  put_bytes(folder.path / "f", file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[4,5]},)"
                                       R"("b":{"data_offsets":[0,4],"shape":[],"dtype":"F32"}}   )",
                                       5));
  const Safetensors in = Safetensors::read(folder.path / "f");
  CHECK(in.get<float>("b")() == 0.0F);
  CHECK(in.tensors.at("a").bytes.size() == 1);
  put_bytes(folder.path / "f", file_of("{}", 0));
  CHECK(Safetensors::read(folder.path / "f").tensors.empty());
}

TEST_CASE("safetensors: an entry made by hand whose bytes do not match is neither read nor written") {
  const Folder folder;
  Safetensors out;
  out.tensors["a"] = {"F32", Shape{2}, std::vector<std::byte>(16)};
  out.tensors["b"] = {"I64", Shape{2}, std::vector<std::byte>(15)};
  out.tensors["c"] = {"F33", Shape{}, {}};
  CHECK_THROWS_WITH_AS(out.get<float>("a"), "safetensors: entry a has 16 bytes for 2 elements of F32", FileError);
  CHECK_THROWS_WITH_AS(out.get_integers("b"), "safetensors: entry b has 15 bytes for 2 elements of I64", FileError);
  CHECK_THROWS_WITH_AS(out.get<double>("c"), "safetensors: entry c has the unknown dtype F33", FileError);
  CHECK_THROWS_AS(out.write(folder.path / "m"), FileError);
  CHECK(fs::is_empty(folder.path));
}

TEST_CASE("safetensors: what is no such file is refused") {
  const Folder folder;
  const fs::path file = folder.path / "f";
  CHECK(problem_of(file).find("cannot be opened") != std::string::npos);
  CHECK(problem_of(folder.path).find("is not a file") != std::string::npos);
  put_bytes(file, "");
  CHECK(problem_of(file).find("too short") != std::string::npos);
  put_bytes(file, "A text of some length that is no safetensors file at all.");
  CHECK(problem_of(file).ends_with("is no safetensors file"));
  put_bytes(file, std::string(8, '\xFF') + "{}");
  CHECK(problem_of(file).ends_with("is no safetensors file"));
  put_bytes(file, std::string("\xFF\0\0\0\0\0\0\0{}", 10));
  CHECK(problem_of(file).find("cut short: a header of 255 bytes in a file of 10") != std::string::npos);
  Safetensors out;
  out.put("a", Tensor<float>{1, 2, 3});
  out.write(file);
  const std::string whole = bytes_of(file);
  for (std::size_t n = 0; n < whole.size(); ++n) {
    put_bytes(file, whole.substr(0, n));
    CHECK(problem_of(file) != "none");
  }
  REQUIRE(::mkfifo((folder.path / "pipe").c_str(), 0600) == 0);
  CHECK(problem_of(folder.path / "pipe").find("is not a file") != std::string::npos);
}

TEST_CASE("safetensors: a write that fails leaves the old file and nothing beside it") {
  const Folder folder;
  Safetensors out;
  out.put("a", Tensor<float>{1, 2, 3});
  out.write(folder.path / "m");
  const std::string before = bytes_of(folder.path / "m");
  out.metadata["bad"] = "\xFF\xFE";
  CHECK_THROWS_AS(out.write(folder.path / "m"), FileError);
  out.metadata.clear();
  CHECK_THROWS_AS(out.write(folder.path / "missing" / "m"), FileError);
  CHECK_THROWS_AS(out.write(folder.path), FileError);
  out.tensors["__metadata__"] = out.tensors["a"];
  CHECK_THROWS_AS(out.write(folder.path / "m"), FileError);
  CHECK(bytes_of(folder.path / "m") == before);
  CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) == 1);
}

TEST_CASE("safetensors: a write that stops halfway leaves the old file and nothing beside it") {
  const Folder folder;
  Safetensors out;
  out.put("a", Tensor<float>{1, 2, 3});
  out.write(folder.path / "m");
  const std::string before = bytes_of(folder.path / "m");
  out.put("a", make_tensor<float>({100'000}, 1.0F));
  rlimit whole{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &whole) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limited{100'000, whole.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limited) == 0);
  std::string problem = "none";
  try {
    out.write(folder.path / "m");
  } catch (const FileError& error) { problem = error.what(); }
  ::setrlimit(RLIMIT_FSIZE, &whole);
  std::signal(SIGXFSZ, handler);
  CHECK(problem.find("m: cannot be written: File too large") != std::string::npos);
  CHECK(bytes_of(folder.path / "m") == before);
  CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) == 1);
}

TEST_CASE("safetensors: a temporary name that is taken, were it by a link, is left alone") {
  const Folder folder;
  put_bytes(folder.path / "other", "precious");
  fs::create_symlink("other", folder.path / fmt::format("m.tmp-{}-0", ::getpid()));
  Safetensors out;
  out.put("a", Tensor<float>{1});
  out.write(folder.path / "m");
  CHECK(bytes_of(folder.path / "other") == "precious");
  CHECK(!fs::is_symlink(folder.path / "m"));
  CHECK(Safetensors::read(folder.path / "m").get<float>("a")(0) == 1.0F);
}

TEST_CASE("safetensors: links that lead nowhere are written through or refused") {
  const Folder folder;
  Safetensors out;
  out.put("a", Tensor<float>{1});
  fs::create_directory(folder.path / "sub");
  fs::create_symlink("sub/real", folder.path / "second");
  fs::create_symlink("second", folder.path / "first");
  out.write(folder.path / "first");
  CHECK(fs::is_symlink(folder.path / "first"));
  CHECK(fs::is_symlink(folder.path / "second"));
  CHECK(Safetensors::read(folder.path / "sub" / "real").get<float>("a")(0) == 1.0F);
  fs::create_symlink("loop", folder.path / "loop");
  CHECK_THROWS_AS(out.write(folder.path / "loop"), FileError);
}

TEST_CASE("safetensors: a link is written through and permissions stay") {
  const Folder folder;
  Safetensors out;
  out.put("a", Tensor<float>{1});
  out.write(folder.path / "real");
  fs::permissions(folder.path / "real", fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink(folder.path / "real", folder.path / "link");
  out.put("a", Tensor<float>{2});
  out.write(folder.path / "link");
  CHECK(fs::is_symlink(folder.path / "link"));
  CHECK(Safetensors::read(folder.path / "real").get<float>("a")(0) == 2.0F);
  CHECK((fs::status(folder.path / "real").permissions() & fs::perms::all) ==
        (fs::perms::owner_read | fs::perms::owner_write));
  fs::permissions(folder.path / "real", fs::perms(0666));
  out.write(folder.path / "real");
  CHECK((fs::status(folder.path / "real").permissions() & fs::perms::all) == fs::perms(0666));
}
