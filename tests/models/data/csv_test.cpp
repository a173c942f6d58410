#include <doctest/doctest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <unroll/models/data/csv.h>

using namespace unroll;

namespace {

std::string scratch_file() {
  return (std::filesystem::temp_directory_path() / fmt::format("unroll-csv-{}.csv", ::getpid())).string();
}

}  // namespace

TEST_CASE("csv: fields come back as they were written, with the line that their row begins on") {
  const std::string path = scratch_file();
  const std::vector<std::string> texts{"a",           "",         "b,c", "say \"so\"", "two\nlines",
                                       "two\r\nmore", " blanks ", "\"",  "\xc3\xa9"};
  {
    std::ofstream out(path, std::ios::binary);
    out << "\xEF\xBB\xBFname;other\r\n\r\n";
    for (const std::string& text : texts) out << csv_field(text, ';') << ";" << csv_field("x;" + text, ';') << "\r\n";
    out << "last;row";  // without an end
  }
  BadLines bad;
  const CsvTable table = CsvTable::read(FileContent::read(path), bad, ';');
  std::filesystem::remove(path);
  REQUIRE(table.rows() == static_cast<Index>(texts.size()) + 1);
  CHECK(table.header() == std::vector<std::string>{"name", "other"});
  Index line = 3;
  for (Index row = 0; row < table.rows() - 1; ++row) {
    const std::string& text = texts[static_cast<std::size_t>(row)];
    CHECK(table.at(row, table.column("name")) == text);
    CHECK(table.at(row, table.column("other")) == "x;" + text);
    CHECK(table.place(row) == fmt::format("{}:{}", path, line));
    line += 1 + 2 * std::count(text.begin(), text.end(), '\n');
  }
  CHECK(table.at(table.rows() - 1, 1) == "row");
  CHECK_THROWS_AS(table.column("nobody"), FileError);
}

TEST_CASE("csv: of a row with a wrong quote its first line is left out, and no other") {
  const std::string path = scratch_file();
  const auto rows_of = [&](const std::string& text, Index malformed) {
    std::ofstream(path) << "name,other\n" << text;
    BadLines bad(true);
    const CsvTable table = CsvTable::read(FileContent::read(path), bad);
    std::filesystem::remove(path);
    CHECK(bad.count() == malformed);
    std::string rows;
    for (Index row = 0; row < table.rows(); ++row)
      rows += fmt::format("{}{}@{} ", table.at(row, 0), table.at(row, 1), table.place(row).substr(path.size() + 1));
    return rows;
  };
  CHECK(rows_of("a,1\nb,\"open\nc,3\nd,4\n", 1) == "a1@2 c3@4 d4@5 ");
  CHECK(rows_of("a,1\nb,\"open\nc,\"3\"\nd,4\n", 1) == "a1@2 c3@4 d4@5 ");
  CHECK(rows_of("a,1\nb,in\"side\nc,3\n", 1) == "a1@2 c3@4 ");
  CHECK(rows_of("a,\"open\nb,\"open\n\"open", 3) == "");
}
