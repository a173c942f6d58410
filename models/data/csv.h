#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <unroll/models/data/files.h>

namespace unroll::inline UNROLL_ISA {

struct CsvRow {
  std::vector<std::string> fields;
  Index line;  // on which it begins
};

/// A table of comma-separated values with a header (RFC 4180): fields may stand in quotes, and hold separators, line
/// ends and, doubled, quotes there. Blank lines are left out.
class CsvTable {
 public:
  /// Rows that break the rules, are not UTF-8, or have another number of fields than the header, are reported to `bad`
  /// with the line they begin on. Throws FileError if there is no header.
  static CsvTable read(const FileContent& file, BadLines& bad, char separator = ',');

  const std::vector<std::string>& header() const { return header_; }
  /// The place of a column. Throws FileError naming those there are.
  Index column(std::string_view name) const;

  Index rows() const { return static_cast<Index>(rows_.size()); }
  const std::string& at(Index row, Index column) const {
    return rows_[static_cast<std::size_t>(row)].fields[static_cast<std::size_t>(column)];
  }
  /// Where a row begins: "file:12".
  std::string place(Index row) const;

 private:
  std::string path_;
  std::vector<std::string> header_;
  std::vector<CsvRow> rows_;
};

/// A field as it is written: in quotes if it needs them.
std::string csv_field(std::string_view text, char separator = ',');

}  // namespace unroll::inline UNROLL_ISA
