#include <unroll/models/report.h>

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace unroll::inline UNROLL_ISA {
namespace {

void print(std::FILE* to, const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), to);
  std::fflush(to);
}

nlohmann::ordered_json to_json(const Fields& fields) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const auto& [name, value] : fields) std::visit([&](const auto& v) { object[name] = v; }, value);
  return object;
}

}  // namespace

void Report::end_progress() {
  if (in_progress_) print(json_ ? stderr : stdout, "\n");
  in_progress_ = false;
}

void Report::say(const std::string& text) {
  end_progress();
  print(json_ ? stderr : stdout, text + "\n");
}

void Report::warn(const std::string& text) {
  if (text.empty()) return;
  end_progress();
  print(stderr, text + "\n");
}

void Report::progress(const std::string& text) {
  std::FILE* const to = json_ ? stderr : stdout;
  const bool terminal = isatty(fileno(to)) != 0;
  const auto now = std::chrono::steady_clock::now();
  if (now - last_progress_ < (terminal ? std::chrono::milliseconds(200) : std::chrono::milliseconds(5000))) return;
  last_progress_ = now;
  print(to, terminal ? "\r\x1b[K" + text : text + "\n");
  in_progress_ = terminal;
}

void Report::result(const Fields& fields) {
  end_progress();
  if (json_)
    return print(stdout, to_json(fields).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  std::string line;
  for (const auto& [name, value] : fields) {
    line += (line.empty() ? "" : "  ") + name + " ";
    if (const auto* text = std::get_if<std::string>(&value)) line += *text;
    if (const auto* number = std::get_if<double>(&value)) line += fmt::format("{:.6g}", *number);
    if (const auto* whole = std::get_if<std::int64_t>(&value)) line += std::to_string(*whole);
  }
  print(stdout, line + "\n");
}

void Report::answer(const std::string& text, const Fields& fields) {
  end_progress();
  if (json_)
    result(fields);
  else
    print(stdout, text + "\n");
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<long>(std::lround(std::max(0.0, seconds)));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

}  // namespace unroll::inline UNROLL_ISA
