#include <unroll/layers/safetensors.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

namespace unroll::inline UNROLL_ISA {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr std::uint64_t header_limit = 100'000'000;
constexpr std::string_view metadata_key = "__metadata__";

/// Bytes of an element, 0 for an unknown type.
std::uint64_t element_size(std::string_view dtype) {
  for (const auto& [name, size] : {std::pair<std::string_view, std::uint64_t>{"F64", 8},
                                   {"I64", 8},
                                   {"U64", 8},
                                   {"C64", 8},
                                   {"F32", 4},
                                   {"I32", 4},
                                   {"U32", 4},
                                   {"F16", 2},
                                   {"BF16", 2},
                                   {"I16", 2},
                                   {"U16", 2},
                                   {"F8_E4M3", 1},
                                   {"F8_E5M2", 1},
                                   {"F8_E8M0", 1},
                                   {"I8", 1},
                                   {"U8", 1},
                                   {"BOOL", 1}})
    if (name == dtype) return size;
  return 0;
}

/// What keeps so many bytes from being an array of that type and shape; empty when nothing does.
std::string defect(const std::string& dtype, const Shape& shape, std::uint64_t bytes) {
  const std::uint64_t size = element_size(dtype);
  if (size == 0) return fmt::format("has the unknown dtype {}", dtype);
  if (static_cast<std::uint64_t>(shape.size()) * size == bytes) return {};
  return fmt::format("has {} bytes for {} elements of {}", bytes, shape.size(), dtype);
}

/// A text of a file as a message can show it: not too long, and on one line.
std::string shown(std::string text) {
  constexpr std::size_t limit = 100;
  if (text.size() > limit) {
    std::size_t end = limit;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    text.replace(end, std::string::npos, "...");
  }
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  return text;
}

struct Entry {
  std::optional<std::string> dtype;
  std::optional<std::vector<Index>> shape;
  std::optional<std::vector<std::uint64_t>> offsets;
};

/// Reads the header as it comes: anything the format does not allow, however deep or long, ends the reading where it
/// stands, with a sentence in `problem`.
class HeaderReader : public json::json_sax_t {
 public:
  std::map<std::string, Entry> entries;
  std::map<std::string, std::string> metadata;
  std::string problem;

  bool start_object(std::size_t) override {
    if (depth_ == 0) return depth_ = 1, true;
    if (depth_ != 1 || in_array_) return fail("an object where none belongs");
    depth_ = 2;
    return true;
  }
  bool end_object() override {
    if (depth_-- == 1 || in_metadata_) return true;
    const Entry& e = entries[entry_];
    return (e.dtype && e.shape && e.offsets && e.offsets->size() == 2) ||
           fail("that lacks its dtype, shape or data_offsets");
  }
  bool key(string_t& name) override {
    if (depth_ == 1) {
      entry_ = name;
      in_metadata_ = name == metadata_key;
      const bool is_new = in_metadata_ ? !std::exchange(has_metadata_, true) : entries.try_emplace(name).second;
      return is_new || fail("listed twice");
    }
    field_ = name;
    if (in_metadata_) return !metadata.contains(name) || fail("with the key " + shown(name) + " twice");
    const Entry& e = entries[entry_];
    if (name == "dtype") return !e.dtype || fail("with two dtypes");
    if (name == "shape") return !e.shape || fail("with two shapes");
    if (name == "data_offsets") return !e.offsets || fail("with two data_offsets");
    return fail("with an unknown field " + shown(name));
  }
  bool string(string_t& value) override {
    if (depth_ == 2 && in_metadata_) {
      metadata[field_] = std::move(value);
      return true;
    }
    if (depth_ != 2 || in_array_ || field_ != "dtype") return fail("with a text where none belongs");
    entries[entry_].dtype = std::move(value);
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ != 2 || in_metadata_ || in_array_ || field_ == "dtype") return fail("with a list where none belongs");
    in_array_ = true;
    if (field_ == "shape")
      entries[entry_].shape.emplace();
    else
      entries[entry_].offsets.emplace();
    return true;
  }
  bool end_array() override {
    in_array_ = false;
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (!in_array_) return fail("with a number where none belongs");
    if (field_ == "shape") {
      if (value > PTRDIFF_MAX / 64) return fail("with an extent that overflows");
      entries[entry_].shape->push_back(static_cast<Index>(value));
      if (entries[entry_].shape->size() > Shape::max_rank) return fail("with too many axes");
    } else {
      entries[entry_].offsets->push_back(value);
      if (entries[entry_].offsets->size() > 2) return fail("with more than two data_offsets");
    }
    return true;
  }
  bool number_integer(number_integer_t) override { return fail("with a negative number"); }
  bool number_float(number_float_t, const string_t& digits) override {
    const bool whole = digits.find_first_of(".eE") == std::string::npos;
    return fail(whole ? "with a number that overflows" : "with a number that is not whole");
  }
  bool null() override { return fail("with a null"); }
  bool boolean(bool) override { return fail("with a truth value"); }
  bool binary(binary_t&) override { return fail("with binary data"); }
  bool parse_error(std::size_t at, const std::string&, const nlohmann::detail::exception&) override {
    problem = fmt::format("its header is not JSON at byte {}", at);
    return false;
  }

 private:
  bool fail(const std::string& what) {
    problem =
        entry_.empty() ? "its header has " + what : fmt::format("its header has an entry {} {}", shown(entry_), what);
    return false;
  }
  int depth_ = 0;
  bool in_metadata_ = false, has_metadata_ = false, in_array_ = false;
  std::string entry_, field_;
};

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& why) {
  throw FileError(fmt::format("safetensors: {}: {}", path.string(), why));
}

class File {
 public:
  File(const std::filesystem::path& path, int flags, mode_t mode = 0)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  explicit operator bool() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  bool read(void* to, std::uint64_t count) const {
    auto* at = static_cast<std::byte*>(to);
    while (count > 0) {
      const ssize_t n = ::read(fd_, at, count);
      if (n < 0 && errno == EINTR) continue;
      if (n == 0) errno = ENODATA;
      if (n <= 0) return false;
      at += n;
      count -= static_cast<std::uint64_t>(n);
    }
    return true;
  }
  bool write(const void* from, std::uint64_t count) const {
    const auto* at = static_cast<const std::byte*>(from);
    while (count > 0) {
      const ssize_t n = ::write(fd_, at, count);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      at += n;
      count -= static_cast<std::uint64_t>(n);
    }
    return true;
  }
  bool close() {
    const int fd = std::exchange(fd_, -1);
    return ::close(fd) == 0;
  }

 private:
  int fd_;
};

std::string reason() { return std::strerror(errno); }

using NamedEntry = std::pair<const std::string, Entry>;

/// The entries in the order of their bytes, each checked against its type and extents.
std::vector<const NamedEntry*> in_order(const std::filesystem::path& path, const std::map<std::string, Entry>& entries,
                                        std::uint64_t data_size) {
  std::vector<const NamedEntry*> sorted;
  for (const NamedEntry& named : entries) {
    const std::string name = shown(named.first);
    const Entry& e = named.second;
    const auto [begin, end] = std::pair{(*e.offsets)[0], (*e.offsets)[1]};
    if (begin > end || end > data_size)
      refuse(path, fmt::format("entry {} lies at {} .. {} of {} bytes", name, begin, end, data_size));
    Shape shape;
    try {
      shape = Shape(std::span<const Index>(*e.shape));
    } catch (const ShapeError& error) { refuse(path, fmt::format("entry {}: {}", name, error.what())); }
    if (const std::string what = defect(*e.dtype, shape, end - begin); !what.empty())
      refuse(path, fmt::format("entry {} {}", name, shown(what)));
    sorted.push_back(&named);
  }
  std::sort(sorted.begin(), sorted.end(),
            [](const NamedEntry* a, const NamedEntry* b) { return *a->second.offsets < *b->second.offsets; });
  std::uint64_t at = 0;
  for (const NamedEntry* named : sorted) {
    const auto& [name, e] = *named;
    if ((*e.offsets)[0] != at)
      refuse(path, fmt::format("entry {} starts at byte {}, {} byte {}", shown(name), (*e.offsets)[0],
                               (*e.offsets)[0] < at ? "inside what ends at" : "leaving a gap from", at));
    at = (*e.offsets)[1];
  }
  if (at != data_size) refuse(path, fmt::format("{} bytes after the last entry belong to none", data_size - at));
  return sorted;
}

}  // namespace

Safetensors Safetensors::read(const std::filesystem::path& path) {
  const File file(path, O_RDONLY | O_NONBLOCK);
  if (!file) refuse(path, "cannot be opened: " + reason());
  struct stat info {};
  if (::fstat(file.fd(), &info) != 0 || !S_ISREG(info.st_mode)) refuse(path, "is not a file");
  const auto size = static_cast<std::uint64_t>(info.st_size);
  std::uint64_t header_size = 0;
  if (size < 8 || !file.read(&header_size, 8)) refuse(path, "is too short for a safetensors file");
  if (header_size > size - 8 || header_size > header_limit)
    refuse(path, fmt::format("is no safetensors file or is cut short: a header of {} bytes in a file of {}",
                             header_size, size));
  std::string header(header_size, ' ');
  if (!file.read(header.data(), header_size)) refuse(path, "cannot be read: " + reason());
  if (header.empty() || header[0] != '{') refuse(path, "is no safetensors file: its header does not start with {");
  // The parser takes a zero byte for the end of its input.
  if (const auto zero = header.find('\0'); zero != std::string::npos)
    refuse(path, fmt::format("its header is not JSON at byte {}", zero + 1));
  HeaderReader reader;
  if (!json::sax_parse(header, &reader)) refuse(path, reader.problem);

  Safetensors result;
  result.metadata = std::move(reader.metadata);
  for (const NamedEntry* named : in_order(path, reader.entries, size - 8 - header_size)) {
    const auto& [name, entry] = *named;
    StoredTensor& t = result.tensors[name];
    t.dtype = *entry.dtype;
    t.shape = Shape(std::span<const Index>(*entry.shape));
    t.bytes.resize((*entry.offsets)[1] - (*entry.offsets)[0]);
    if (!file.read(t.bytes.data(), t.bytes.size())) refuse(path, "cannot be read: " + reason());
  }
  return result;
}

namespace {

using NamedTensor = std::pair<const std::string, StoredTensor>;

/// The header, padded so that the data are aligned.
std::string header_of(const std::filesystem::path& path, const std::vector<const NamedTensor*>& order,
                      const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[std::string(metadata_key)] = metadata;
  std::uint64_t at = 0;
  for (const NamedTensor* entry : order) {
    const auto& [name, t] = *entry;
    if (name == metadata_key) refuse(path, "an entry cannot be named " + name);
    if (const std::string what = defect(t.dtype, t.shape, t.bytes.size()); !what.empty())
      refuse(path, fmt::format("entry {} {}", shown(name), shown(what)));
    const auto extents = t.shape.extents();
    header[name] = {{"dtype", t.dtype},
                    {"shape", std::vector<Index>(extents.begin(), extents.end())},
                    {"data_offsets", {at, at + t.bytes.size()}}};
    at += t.bytes.size();
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const json::exception&) { refuse(path, "a name or a text in the metadata is not UTF-8"); }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > header_limit) refuse(path, "the header is too long");
  return text;
}

/// Where the links that start at `path` lead, be there a file or not.
std::filesystem::path without_links(const std::filesystem::path& path) {
  constexpr int link_limit = 40;
  std::filesystem::path target = path;
  std::error_code ignored;
  for (int links = 0; std::filesystem::is_symlink(target, ignored); ++links) {
    if (links == link_limit) refuse(path, "is a link that leads nowhere");
    target = target.parent_path() / std::filesystem::read_symlink(target, ignored);
  }
  return target;
}

}  // namespace

void Safetensors::write(const std::filesystem::path& path) const {
  // Wider elements first, so that each array is aligned in the file.
  std::vector<const NamedTensor*> order;
  for (const NamedTensor& entry : tensors) order.push_back(&entry);
  std::stable_sort(order.begin(), order.end(), [](const NamedTensor* a, const NamedTensor* b) {
    return element_size(a->second.dtype) > element_size(b->second.dtype);
  });
  const std::string header = header_of(path, order, metadata);
  const std::uint64_t header_size = header.size();

  const std::filesystem::path target = without_links(path);
  struct stat before {};
  const bool exists = ::stat(target.c_str(), &before) == 0;
  if (exists && !S_ISREG(before.st_mode)) refuse(path, "is there and is not a file");
  const mode_t mode = exists ? before.st_mode & 0777 : 0666;
  std::filesystem::path temporary;
  std::unique_ptr<File> file;
  for (int n = 0; n < 100; ++n) {  // a name may be taken, by a save that was killed or by another thread
    temporary = target.string() + fmt::format(".tmp-{}-{}", ::getpid(), n);
    file = std::make_unique<File>(temporary, O_WRONLY | O_CREAT | O_EXCL, mode);
    if (*file || errno != EEXIST) break;
  }
  if (!*file) refuse(path, "cannot be written: " + reason());
  const auto give_up = [&](const std::string& what) {
    const std::string why = reason();
    ::unlink(temporary.c_str());
    refuse(path, what + ": " + why);
  };
  if (exists) ::fchmod(file->fd(), mode);
  bool ok = file->write(&header_size, 8) && file->write(header.data(), header.size());
  for (const NamedTensor* entry : order) ok = ok && file->write(entry->second.bytes.data(), entry->second.bytes.size());
  if (!ok) give_up("cannot be written");
  if (::fsync(file->fd()) != 0 || !file->close()) give_up("cannot be written to disk");
  if (::rename(temporary.c_str(), target.c_str()) != 0) give_up("cannot take the place of the old file");
}

namespace {

const StoredTensor& stored(const std::map<std::string, StoredTensor>& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  require<FileError>(found != tensors.end(), "safetensors: there is no entry {}", name);
  const auto& [dtype, shape, bytes] = found->second;
  const std::string what = defect(dtype, shape, bytes.size());
  require<FileError>(what.empty(), "safetensors: entry {} {}", name, what);
  return found->second;
}

template <class From, class To>
void convert(const std::vector<std::byte>& bytes, To* to) {
  for (std::size_t i = 0; i < bytes.size() / sizeof(From); ++i) {
    From value;
    std::memcpy(&value, bytes.data() + i * sizeof(From), sizeof(From));
    to[i] = static_cast<To>(value);
  }
}

}  // namespace

template <Real T>
void Safetensors::put(const std::string& name, const Tensor<T>& value) {
  StoredTensor t{std::same_as<T, float> ? "F32" : "F64", shape_of(value),
                 std::vector<std::byte>(value.size() * sizeof(T))};
  if (!t.bytes.empty()) std::memcpy(t.bytes.data(), value.data(), t.bytes.size());
  tensors[name] = std::move(t);
}

template <Real T>
Tensor<T> Safetensors::get(const std::string& name) const {
  const StoredTensor& t = stored(tensors, name);
  require<FileError>(t.dtype == "F32" || t.dtype == "F64", "safetensors: entry {} has dtype {}, not F32 or F64", name,
                     t.dtype);
  Tensor<T> value = make_tensor<T>(t.shape);
  if (t.dtype == "F32")
    convert<float>(t.bytes, value.data());
  else
    convert<double>(t.bytes, value.data());
  return value;
}

void Safetensors::put_integers(const std::string& name, std::span<const std::int64_t> values) {
  StoredTensor t{"I64", Shape{static_cast<Index>(values.size())}, std::vector<std::byte>(values.size_bytes())};
  if (!t.bytes.empty()) std::memcpy(t.bytes.data(), values.data(), t.bytes.size());
  tensors[name] = std::move(t);
}

std::vector<std::int64_t> Safetensors::get_integers(const std::string& name) const {
  const StoredTensor& t = stored(tensors, name);
  require<FileError>(t.dtype == "I64", "safetensors: entry {} has dtype {}, not I64", name, t.dtype);
  std::vector<std::int64_t> values(static_cast<std::size_t>(t.shape.size()));
  convert<std::int64_t>(t.bytes, values.data());
  return values;
}

template void Safetensors::put(const std::string&, const Tensor<float>&);
template void Safetensors::put(const std::string&, const Tensor<double>&);
template Tensor<float> Safetensors::get(const std::string&) const;
template Tensor<double> Safetensors::get(const std::string&) const;

}  // namespace unroll::inline UNROLL_ISA
