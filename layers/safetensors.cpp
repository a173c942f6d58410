#include <unroll/layers/safetensors.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>

#include <unroll/layers/safetensors_header.h>

namespace unroll::inline UNROLL_ISA {
using namespace detail;

namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

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

}  // namespace

Safetensors Safetensors::read(const std::filesystem::path& path) {
  const File file(path, O_RDONLY | O_NONBLOCK);
  if (!file) refuse(path, "cannot be opened: " + reason());
  struct stat info {};
  if (::fstat(file.fd(), &info) != 0 || !S_ISREG(info.st_mode)) refuse(path, "is not a file");
  const auto size = static_cast<std::uint64_t>(info.st_size);
  std::uint64_t header_size = 0;
  if (size < 8 || !file.read(&header_size, 8)) refuse(path, "is too short for a safetensors file");
  if (header_size > SafetensorsHeader::size_limit) refuse(path, "is no safetensors file");
  if (header_size > size - 8)
    refuse(path, fmt::format("is no safetensors file or is cut short: a header of {} bytes in a file of {}",
                             header_size, size));
  std::string header(header_size, ' ');
  if (!file.read(header.data(), header_size)) refuse(path, "cannot be read: " + reason());
  SafetensorsHeader known = SafetensorsHeader::parse(path, header, size - 8 - header_size);

  Safetensors result;
  result.metadata = std::move(known.metadata);
  for (SafetensorsHeader::Entry& e : known.entries) {
    StoredTensor& t = result.tensors[e.name];
    t = {std::move(e.dtype), e.shape, std::vector<std::byte>(e.end - e.begin)};
    if (!file.read(t.bytes.data(), t.bytes.size())) refuse(path, "cannot be read: " + reason());
  }
  return result;
}

namespace {

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
  std::vector<const std::pair<const std::string, StoredTensor>*> order;
  for (const auto& entry : tensors) order.push_back(&entry);
  std::ranges::stable_sort(order, std::greater{}, [](const auto* e) { return element_size(e->second.dtype); });
  SafetensorsHeader known{{}, metadata};
  std::uint64_t at = 0;
  for (const auto* entry : order) {
    const auto& [name, t] = *entry;
    known.entries.push_back({name, t.dtype, t.shape, at, at + t.bytes.size()});
    at += t.bytes.size();
  }
  const std::string header = known.text(path);
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
  for (const auto* entry : order) ok = ok && file->write(entry->second.bytes.data(), entry->second.bytes.size());
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
