#include <unroll/layers/safetensors_header.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

namespace unroll::inline UNROLL_ISA::detail {
namespace {

using nlohmann::json;

constexpr std::string_view metadata_key = "__metadata__";

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

/// An entry as far as it was read.
struct RawEntry {
  std::optional<std::string> dtype;
  std::optional<std::vector<Index>> shape;
  std::optional<std::vector<std::uint64_t>> offsets;
};

/// Reads the header as it comes: anything the format does not allow, however deep or long, ends the reading where it
/// stands, with a sentence in `problem`.
class HeaderReader : public json::json_sax_t {
 public:
  std::map<std::string, RawEntry> entries;
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
    const RawEntry& e = entries[entry_];
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
    const RawEntry& e = entries[entry_];
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

}  // namespace

void refuse(const std::filesystem::path& path, const std::string& why) {
  throw FileError(fmt::format("safetensors: {}: {}", path.string(), why));
}

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

std::string defect(const std::string& dtype, const Shape& shape, std::uint64_t bytes) {
  const std::uint64_t size = element_size(dtype);
  if (size == 0) return fmt::format("has the unknown dtype {}", dtype);
  if (static_cast<std::uint64_t>(shape.size()) * size == bytes) return {};
  return fmt::format("has {} bytes for {} elements of {}", bytes, shape.size(), dtype);
}

SafetensorsHeader SafetensorsHeader::parse(const std::filesystem::path& path, const std::string& text,
                                           std::uint64_t data_size) {
  if (text.empty() || text[0] != '{') refuse(path, "is no safetensors file: its header does not start with {");
  // The parser takes a zero byte for the end of its input.
  if (const auto zero = text.find('\0'); zero != std::string::npos)
    refuse(path, fmt::format("its header is not JSON at byte {}", zero + 1));
  HeaderReader reader;
  if (!json::sax_parse(text, &reader)) refuse(path, reader.problem);

  SafetensorsHeader result{{}, std::move(reader.metadata)};
  for (const auto& [name, raw] : reader.entries) {
    Entry e{name, *raw.dtype, {}, (*raw.offsets)[0], (*raw.offsets)[1]};
    if (e.begin > e.end || e.end > data_size)
      refuse(path, fmt::format("entry {} lies at {} .. {} of {} bytes", shown(name), e.begin, e.end, data_size));
    try {
      e.shape = Shape(std::span<const Index>(*raw.shape));
    } catch (const ShapeError& error) { refuse(path, fmt::format("entry {}: {}", shown(name), error.what())); }
    if (const std::string what = defect(e.dtype, e.shape, e.end - e.begin); !what.empty())
      refuse(path, fmt::format("entry {} {}", shown(name), shown(what)));
    result.entries.push_back(std::move(e));
  }
  std::ranges::sort(result.entries, {}, [](const Entry& e) { return std::pair{e.begin, e.end}; });
  std::uint64_t at = 0;
  for (const Entry& e : result.entries) {
    if (e.begin != at)
      refuse(path, fmt::format("entry {} starts at byte {}, {} byte {}", shown(e.name), e.begin,
                               e.begin < at ? "inside what ends at" : "leaving a gap from", at));
    at = e.end;
  }
  if (at != data_size) refuse(path, fmt::format("{} bytes after the last entry belong to none", data_size - at));
  return result;
}

std::string SafetensorsHeader::text(const std::filesystem::path& path) const {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[std::string(metadata_key)] = metadata;
  for (const Entry& e : entries) {
    if (e.name == metadata_key) refuse(path, "an entry cannot be named " + e.name);
    if (const std::string what = defect(e.dtype, e.shape, e.end - e.begin); !what.empty())
      refuse(path, fmt::format("entry {} {}", shown(e.name), shown(what)));
    const auto extents = e.shape.extents();
    header[e.name] = {{"dtype", e.dtype},
                      {"shape", std::vector<Index>(extents.begin(), extents.end())},
                      {"data_offsets", {e.begin, e.end}}};
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const json::exception&) { refuse(path, "a name or a text in the metadata is not UTF-8"); }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > size_limit) refuse(path, "the header is too long");
  return text;
}

}  // namespace unroll::inline UNROLL_ISA::detail
