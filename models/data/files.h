#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

namespace unroll::inline UNROLL_ISA {

/// The content of a file, unpacked if it is compressed (.gz, .bz2, .xz, .zst). Throws FileError.
std::string read_file(const std::string& path);

/// Calls f(name, content) for each file of an archive (.tar, .tar.gz, .zip), in its order, or of a folder, by name.
/// Throws FileError.
void for_each_file_in(const std::string& path, const std::function<void(const std::string&, const std::string&)>& f);

/// The lines of a text file, without their ends.
class LineReader {
 public:
  /// A byte order mark is no part of the text. Throws FileError.
  explicit LineReader(std::string path)
      : path_(std::move(path)), text_(read_file(path_)), at_(text_.starts_with("\xEF\xBB\xBF") ? 3 : 0) {}
  /// The next line, which is valid as long as the reader is; false at the end.
  bool next(std::string_view& line);
  /// Where the line stands that was read last: "file:12".
  std::string place() const;

 private:
  std::string path_, text_;
  std::size_t at_;
  Index number_ = 0;
};

/// What becomes of data that cannot be understood: an error that says where, or, with `skip`, it is left out and
/// counted.
class BadLines {
 public:
  explicit BadLines(bool skip = false) : skip_(skip) {}
  /// Throws FileError "place: what" unless such data are left out.
  void report(const std::string& place, const std::string& what);
  Index count() const { return count_; }
  /// "3 malformed lines were left out, the first: ..."; empty if there was none.
  std::string summary() const;

 private:
  bool skip_;
  Index count_ = 0;
  std::string first_;
};

/// The parts of a line between separators.
std::vector<std::string_view> split_line(std::string_view line, char separator);

}  // namespace unroll::inline UNROLL_ISA
