#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

namespace unroll::inline UNROLL_ISA {

/// A line of results: names and values in order.
using Field = std::pair<std::string, std::variant<std::string, double, std::int64_t>>;
using Fields = std::vector<Field>;

/// Where a command says how it is doing. For people: sentences and a progress line on standard output. With json: one
/// object per line on standard output, all else on standard error.
class Report {
 public:
  explicit Report(bool json) : json_(json) {}

  /// A sentence.
  void say(const std::string& text);
  /// A sentence about what may be wrong, on standard error; nothing if it is empty.
  void warn(const std::string& text);
  /// The progress line, replaced in place on a terminal and repeated every few seconds elsewhere.
  void progress(const std::string& text);
  /// A result; the last one of a command is its metrics.
  void result(const Fields& fields);
  /// Text that is the answer itself, such as a sample.
  void answer(const std::string& text, const Fields& fields);

 private:
  void end_progress();

  bool json_;
  bool in_progress_ = false;
  std::chrono::steady_clock::time_point last_progress_{};
};

/// How long ago that was.
double seconds_since(std::chrono::steady_clock::time_point start);

/// Seconds as people read them: "45 s", "3 min 20 s".
std::string duration_text(double seconds);

}  // namespace unroll::inline UNROLL_ISA
