#include <unroll/models/data/csv.h>

#include <csv.h>
#include <fmt/format.h>

#include <algorithm>

#include <unroll/models/data/utf8.h>

namespace unroll::inline UNROLL_ISA {
namespace {

bool is_utf8(const CsvRow& row) {
  return std::ranges::all_of(row.fields, [](std::string_view text) { return detail::is_utf8(text); });
}

/// libcsv, which knows of no lines, is fed one at a time: that on which a row begins is then known.
class CsvParser {
 public:
  CsvParser(const std::string& path, BadLines& bad, char separator) : path_(path), bad_(bad), separator_(separator) {
    start();
  }
  ~CsvParser() { csv_free(&parser_); }
  CsvParser(const CsvParser&) = delete;
  CsvParser& operator=(const CsvParser&) = delete;

  std::vector<CsvRow> parse(std::string_view text) {
    text = without_byte_order_mark(text);
    std::size_t at = 0, second = 0;  // where the second line of the row begins
    do {
      while (at < text.size()) {
        const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
        ++line_;
        if (!inside_) row_.line = line_, second = end;
        inside_ = true;
        if (csv_parse(&parser_, text.data() + at, end - at, on_field, on_row, this) == end - at)
          at = end;
        else
          at = give_up(csv_error(&parser_) == CSV_EPARSE
                           ? "a quote stands inside of a field, or text behind a quoted one"
                           : csv_strerror(csv_error(&parser_)),
                       second);
      }
      if (csv_fini(&parser_, on_field, on_row, this) != 0) at = give_up("a quote is not closed", second);
    } while (at < text.size());
    return std::move(rows_);
  }

 private:
  void start() {
    require<Error>(csv_init(&parser_, CSV_STRICT | CSV_STRICT_FINI | CSV_REPALL_NL) == 0, "csv: libcsv does not start");
    csv_set_delim(&parser_, static_cast<unsigned char>(separator_));
    csv_set_space_func(&parser_, [](unsigned char) { return 0; });  // blanks belong to a field
  }
  /// Leaves the first line of the row out, and goes on with its second, which is returned.
  std::size_t give_up(const char* why, std::size_t second) {
    const std::string what = why;
    csv_free(&parser_);
    start();
    row_.fields.clear();
    inside_ = false;
    line_ = row_.line;
    bad_.report(fmt::format("{}:{}", path_, row_.line), what);
    return second;
  }
  static void on_field(void* text, std::size_t size, void* self) {
    static_cast<CsvParser*>(self)->row_.fields.emplace_back(static_cast<const char*>(text), size);
  }
  static void on_row(int, void* parser) {  // also at the end of a blank line
    CsvParser& self = *static_cast<CsvParser*>(parser);
    if (!self.row_.fields.empty()) self.rows_.push_back(self.row_);
    self.row_.fields.clear();
    self.inside_ = false;
  }

  const std::string& path_;
  BadLines& bad_;
  char separator_;
  csv_parser parser_;
  CsvRow row_{{}, 0};
  std::vector<CsvRow> rows_;
  Index line_ = 0;
  bool inside_ = false;
};

}  // namespace

CsvTable CsvTable::read(const FileContent& file, BadLines& bad, char separator) {
  const auto& [path, text] = file;
  CsvTable table;
  table.path_ = path;
  for (CsvRow& row : CsvParser(path, bad, separator).parse(text)) {
    const std::string place = fmt::format("{}:{}", path, row.line);
    if (!is_utf8(row))
      bad.report(place, "this is not UTF-8");
    else if (table.header_.empty())
      table.header_ = std::move(row.fields);
    else if (row.fields.size() != table.header_.size())
      bad.report(place, fmt::format("{} fields, and the header has {}", row.fields.size(), table.header_.size()));
    else
      table.rows_.push_back(std::move(row));
  }
  require<FileError>(!table.header_.empty(), "{}: there is no header", path);
  return table;
}

Index CsvTable::column(std::string_view name) const {
  const auto found = std::find(header_.begin(), header_.end(), name);
  require<FileError>(found != header_.end(), "{}: there is no column '{}' among '{}'", path_, name,
                     fmt::join(header_, "', '"));
  return found - header_.begin();
}

std::string CsvTable::place(Index row) const {
  return fmt::format("{}:{}", path_, rows_[static_cast<std::size_t>(row)].line);
}

std::string csv_field(std::string_view text, char separator) {
  if (text.find_first_of(std::string{separator, '"', '\r', '\n'}) == text.npos) return std::string(text);
  std::string field(2 * text.size() + 2, '\0');
  field.resize(csv_write(field.data(), field.size(), text.data(), text.size()));
  return field;
}

}  // namespace unroll::inline UNROLL_ISA
