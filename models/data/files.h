#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

namespace unroll::inline UNROLL_ISA {

/// Whether there is a file or folder of this name, and whether it is a folder. Both throw FileError for a name that
/// cannot be looked up, such as a link to itself.
bool is_there(const std::string& path);
bool is_folder(const std::string& path);
/// A file PREFIX + name + SUFFIX that belongs to a file, in its folder; or without the .gz of that, or packed itself:
/// the first that is there, else the first of these.
std::string file_beside(const std::string& file, const std::string& prefix, const std::string& suffix);

/// The content of a file, unpacked if it is compressed (.gz, .bz2, .xz, .zst). Throws FileError.
std::string read_file(const std::string& path);

/// A file that was read. A pipe can be read only once, and so who wants to know first what a file holds keeps this.
struct FileContent {
  std::string path, text;
  /// Throws FileError.
  static FileContent read(const std::string& path) { return {path, read_file(path)}; }
};

/// Calls f(name, content) for each file of an archive (.tar, .tar.gz, .zip), in its order, or of a folder, by name; the
/// name begins with the path. Throws FileError.
void for_each_file_in(const std::string& path, const std::function<void(const std::string&, const std::string&)>& f);

/// The lines of a text file, without their ends.
class LineReader {
 public:
  /// A byte order mark is no part of the text.
  explicit LineReader(FileContent file);
  /// Throws FileError.
  explicit LineReader(const std::string& path) : LineReader(FileContent::read(path)) {}
  /// The next line, which is valid as long as the reader is; false at the end.
  bool next(std::string_view& line);
  /// Where the line stands that was read last: "file:12".
  std::string place() const;

 private:
  FileContent file_;
  std::size_t at_;
  Index number_ = 0;
};

/// What becomes of data that cannot be understood: an error that says where, or, with `skip`, it is left out and
/// counted. And how much there was that means nothing.
class BadLines {
 public:
  /// `kind` is what summary() calls one of them.
  explicit BadLines(bool skip = false, std::string kind = "malformed line") : skip_(skip), kind_(std::move(kind)) {}
  /// Throws FileError "place: what" unless such data are left out.
  void report(const std::string& place, const std::string& what);
  Index count() const { return count_; }
  bool skips() const { return skip_; }
  /// Counts one of the `what` that are left out in any case, such as "rows without text".
  void leave_out(const std::string& what) { ++left_out_[what]; }
  /// "3 malformed lines were left out, the first: ...", "rows without text left out: 2"; empty if there was none.
  std::string summary() const;

 private:
  bool skip_;
  std::string kind_;
  Index count_ = 0;
  std::string first_;
  std::map<std::string, Index> left_out_;
};

/// The parts of a line between separators.
std::vector<std::string_view> split_line(std::string_view line, char separator);

}  // namespace unroll::inline UNROLL_ISA
