#include <unroll/models/training_log.h>

#include <array>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <protozero/pbf_writer.hpp>

#include <unroll/models/data/files.h>
#include <unroll/models/data/numbers.h>
#include <unroll/models/output_file.h>
#include <unroll/models/plot.h>

namespace unroll::inline UNROLL_ISA {
namespace {

/// CRC-32C (Castagnoli), as the frames of event files have it.
std::uint32_t crc32c(const std::string& data) {
  static const auto table = [] {
    std::array<std::uint32_t, 256> t{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      t[i] = i;
      for (int k = 0; k < 8; ++k) t[i] = (t[i] >> 1) ^ (t[i] & 1 ? 0x82f63b78U : 0);
    }
    return t;
  }();
  std::uint32_t crc = ~0U;
  for (const char c : data) crc = table[(crc ^ static_cast<std::uint8_t>(c)) & 255] ^ (crc >> 8);
  return ~crc;
}

std::string bytes_of(std::uint64_t value, std::size_t count) {
  std::string bytes(count, '\0');
  for (char& b : bytes) b = static_cast<char>(value & 255), value >>= 8;
  return bytes;
}

std::string masked_crc(const std::string& data) {
  const std::uint32_t crc = crc32c(data);
  return bytes_of(((crc >> 15) | (crc << 17)) + 0xa282ead8U, 4);
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

constexpr const char* header = "step,name,value";

double number_on(const LineReader& lines, std::string_view text) {
  const auto number = number_of<double>(text);
  require<FileError>(number.has_value(), "{}: '{}' is no number", lines.place(), text);
  return *number;
}

/// A record of an event file: length, its checksum, the message, its checksum (TFRecord).
void write_record(std::FILE* file, const std::string& message) {
  const std::string length = bytes_of(message.size(), 8);
  const std::string record = length + masked_crc(length) + message + masked_crc(message);
  std::fwrite(record.data(), 1, record.size(), file);
}

// Fields of TensorFlow's Event, Summary and Summary.Value.
constexpr int event_wall_time = 1, event_step = 2, event_file_version = 3, event_summary = 5, summary_value = 1,
              value_tag = 1, value_simple = 2;

}  // namespace

TrainingLog::TrainingLog(const std::string& folder, bool goes_on) {
  if (folder.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const auto open = [&](const std::string& name, const char* mode) {
    File file(std::fopen((folder + "/" + name).c_str(), mode));
    if (!file) throw FileError(fmt::format("log: {}/{} cannot be written: {}", folder, name, std::strerror(errno)));
    return file;
  };
  if (const std::string table = folder + "/metrics.csv"; is_there(table)) {
    LineReader lines(table);
    std::string_view line;
    require<FileError>(!lines.next(line) || line == header,
                       "log: {} is no table of curves, to which these could be written", table);
  }
  csv_ = open("metrics.csv", goes_on ? "ab" : "wb");
  if (std::ftell(csv_.get()) == 0) fmt::print(csv_.get(), "{}\n", header);
  // A training that goes on has another file than before, be it of the same second.
  std::string events = fmt::format("events.out.tfevents.{}.unroll", static_cast<std::int64_t>(seconds_now()));
  while (is_there(folder + "/" + events)) events += "-";
  events_ = open(events, "wbx");
  std::string event;
  protozero::pbf_writer writer(event);
  writer.add_double(event_wall_time, seconds_now());
  writer.add_string(event_file_version, "brain.Event:2");
  write_record(events_.get(), event);
}

void TrainingLog::scalar(Index step, const std::string& name, double value) {
  if (!csv_) return;
  fmt::print(csv_.get(), "{},{},{:.9g}\n", step, name, value);
  std::string event;
  protozero::pbf_writer writer(event);
  writer.add_double(event_wall_time, seconds_now());
  writer.add_int64(event_step, step);
  {
    protozero::pbf_writer summary(writer, event_summary);
    protozero::pbf_writer one(summary, summary_value);
    one.add_string(value_tag, name);
    one.add_float(value_simple, static_cast<float>(value));
  }
  write_record(events_.get(), event);
  std::fflush(csv_.get());
  std::fflush(events_.get());
}

void TrainingLog::scalars(Index step, const std::string& prefix, const Fields& fields) {
  for (const auto& [name, value] : fields) {
    if (const auto* number = std::get_if<double>(&value)) scalar(step, prefix + "/" + name, *number);
    if (const auto* whole = std::get_if<std::int64_t>(&value))
      scalar(step, prefix + "/" + name, static_cast<double>(*whole));
  }
}

std::string plot_training(const std::string& folder, const std::string& svg) {
  const std::string out = svg.empty() ? folder + "/curves.svg" : svg;
  const std::string table = folder + "/metrics.csv";
  require<FileError>(is_there(table) || !is_there(folder + "/fold-1"),
                     "plot: {0} holds the curves of folds, which are drawn one by one, such as {0}/fold-1", folder);
  LineReader lines(table);
  check_output("plot", out, std::array{table});
  check_plotting(out);
  // One picture for each name without its prefix, one line for each prefix.
  std::map<std::string, std::map<std::string, std::vector<std::pair<double, double>>>> curves;
  std::vector<std::string> order;
  std::string_view line;
  lines.next(line);
  while (lines.next(line)) {
    const auto parts = split_line(line, ',');
    require<FileError>(parts.size() == 3, "{}: a line step,name,value is expected", lines.place());
    const std::string name(parts[1]);
    const auto slash = name.find('/');
    const std::string title = slash == std::string::npos ? name : name.substr(slash + 1);
    const double x = number_on(lines, parts[0]), y = number_on(lines, parts[2]);
    if (!std::isfinite(x) || !std::isfinite(y)) continue;
    if (!curves.contains(title)) order.push_back(title);
    curves[title][name].emplace_back(x, y);
  }
  require<FileError>(!order.empty(), "plot: {} holds no finite values", table);
  std::vector<Plot> plots;
  for (const std::string& title : order) {
    Plot plot{.title = title, .x_label = "update", .y_label = title, .lines = {}};
    for (const auto& [name, points] : curves[title]) {
      PlotLine curve{.label = name, .ys = {}};
      for (const auto& [x, y] : points) curve.xs.push_back(x), curve.ys.push_back(y);
      plot.lines.push_back(std::move(curve));
    }
    plots.push_back(std::move(plot));
  }
  write_svg(out, plots);
  return out;
}

}  // namespace unroll::inline UNROLL_ISA
