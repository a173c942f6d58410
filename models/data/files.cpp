#include <unroll/models/data/files.h>

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>

#include <fmt/ranges.h>

#include <unroll/models/data/utf8.h>

namespace unroll::inline UNROLL_ISA {
namespace {

struct Close {
  void operator()(archive* a) const { archive_read_free(a); }
};
using Archive = std::unique_ptr<archive, Close>;

std::string reason(archive* a) {
  const char* const text = archive_error_string(a);  // none for some files that end too early
  return text == nullptr ? "it ends too early, or is damaged" : text;
}

std::filesystem::file_status status_of(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  require<FileError>(std::filesystem::status_known(status), "{}: {}", path, error.message());
  return status;
}

/// With `raw`, a file that is no archive is one entry.
Archive open(const std::string& path, bool raw) {
  require<FileError>(is_there(path), "{}: there is no such file", path.empty() ? "''" : path);
  require<FileError>(!is_folder(path), "{} is a folder, not a file", path);
  Archive a(archive_read_new());
  archive_read_support_filter_all(a.get());
  if (raw) {
    archive_read_support_format_raw(a.get());
    archive_read_support_format_empty(a.get());
  } else {
    archive_read_support_format_all(a.get());
  }
  if (archive_read_open_filename(a.get(), path.c_str(), 1 << 16) != ARCHIVE_OK)
    throw FileError(fmt::format("{} cannot be read: {}", path, reason(a.get())));
  return a;
}

/// False at the end.
bool next_entry(archive* a, const std::string& path, archive_entry*& entry) {
  const int status = archive_read_next_header(a, &entry);
  require<FileError>(status == ARCHIVE_OK || status == ARCHIVE_WARN || status == ARCHIVE_EOF, "{} cannot be read: {}",
                     path, reason(a));
  return status != ARCHIVE_EOF;
}

std::string content_of_entry(archive* a, const std::string& path) {
  std::string content;
  std::array<char, 1 << 16> part;
  for (;;) {
    const auto size = archive_read_data(a, part.data(), part.size());
    if (size < 0) throw FileError(fmt::format("{} is damaged: {}", path, reason(a)));
    if (size == 0) return content;
    content.append(part.data(), static_cast<std::size_t>(size));
  }
}

}  // namespace

bool is_there(const std::string& path) { return std::filesystem::exists(status_of(path)); }

bool is_folder(const std::string& path) { return std::filesystem::is_directory(status_of(path)); }

std::string file_beside(const std::string& file, const std::string& prefix, const std::string& suffix) {
  const std::filesystem::path path(file);
  std::vector<std::string> names;
  for (const auto& name : {path.filename(), path.extension() == ".gz" ? path.stem() : path.filename()})
    for (const char* packed : {"", ".gz"})
      names.push_back((path.parent_path() / (prefix + name.string() + suffix + packed)).string());
  const auto found = std::ranges::find_if(names, is_there);
  return found == names.end() ? names[0] : *found;
}

std::string read_file(const std::string& path) {
  const Archive a = open(path, true);
  archive_entry* entry = nullptr;
  return next_entry(a.get(), path, entry) ? content_of_entry(a.get(), path) : std::string();
}

void for_each_file_in(const std::string& path, const std::function<void(const std::string&, const std::string&)>& f) {
  if (is_folder(path)) {
    std::vector<std::filesystem::path> names;
    std::error_code error, other;
    for (std::filesystem::recursive_directory_iterator at(path, error), end; !error && at != end; at.increment(error))
      if (at->is_regular_file(other)) names.push_back(at->path());
    require<FileError>(!error, "{} cannot be read: {}", path, error.message());
    std::sort(names.begin(), names.end());
    for (const auto& name : names) f(name.string(), read_file(name.string()));
    return;
  }
  const Archive a = open(path, false);
  for (archive_entry* entry = nullptr; next_entry(a.get(), path, entry);) {
    const char* const member = archive_entry_pathname(entry);  // none where it cannot be written in this locale
    const std::string name = fmt::format("{}/{}", path, member == nullptr ? "?" : member);
    if (archive_entry_filetype(entry) == AE_IFREG) f(name, content_of_entry(a.get(), name));
  }
}

LineReader::LineReader(FileContent file)
    : file_(std::move(file)), at_(file_.text.size() - without_byte_order_mark(file_.text).size()) {}

bool LineReader::next(std::string_view& line) {
  const std::string_view text = file_.text;
  if (at_ >= text.size()) return false;
  const std::size_t end = std::min(text.find('\n', at_), text.size());
  line = text.substr(at_, end - at_);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  at_ = end + 1;
  ++number_;
  return true;
}

std::string LineReader::place() const { return fmt::format("{}:{}", file_.path, number_); }

void BadLines::report(const std::string& place, const std::string& what) {
  require<FileError>(skip_, "{}: {}", place, what);
  if (count_++ == 0) first_ = fmt::format("{}: {}", place, what);
}

std::string BadLines::summary() const {
  std::vector<std::string> parts;
  if (count_ > 0)
    parts.push_back(
        fmt::format("{} {}{} left out, the first: {}", count_, kind_, count_ == 1 ? " was" : "s were", first_));
  for (const auto& [what, count] : left_out_) parts.push_back(fmt::format("{} left out: {}", what, count));
  return fmt::format("{}", fmt::join(parts, "\n"));
}

std::vector<std::string_view> split_line(std::string_view line, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t at = 0;;) {
    const std::size_t end = std::min(line.find(separator, at), line.size());
    parts.push_back(line.substr(at, end - at));
    if (end == line.size()) return parts;
    at = end + 1;
  }
}

}  // namespace unroll::inline UNROLL_ISA
