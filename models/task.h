#pragma once

#include <functional>
#include <memory>
#include <optional>

#include <unroll/models/report.h>
#include <unroll/models/settings.h>

namespace unroll::inline UNROLL_ISA {

/// The data that a command is given.
struct TaskData {
  std::vector<std::string> data = {}, valid = {}, test = {};
  std::optional<double> held_out = {};  // the share of the data to validate on; if it is not given, a tenth, or what
                                        // such data are parted by as a rule
  Index folds = 0;                      // cross-validation in so many parts instead; 0: none
  bool skip_bad = false;                // malformed lines are left out and counted
};

using Answers = std::function<std::string(const std::string& input)>;

/// An application of the program: what `unroll train NAME`, `eval`, `run` and `synthesize` do.
class Task {
 public:
  virtual ~Task() = default;
  virtual std::string name() const = 0;
  /// A line of help, and one about the data.
  virtual std::string what() const = 0;
  virtual std::string format() const = 0;
  /// The options with which train() trains.
  virtual Settings settings() = 0;

  /// Trains, saves the best model to `out`, and reports its metrics. Returns false when it was interrupted.
  virtual bool train(const TaskData& data, const std::string& out, Report& report) = 0;
  /// The metrics of a model on data that it has not seen.
  virtual void evaluate(const std::string& model, const TaskData& data, Report& report) = 0;
  /// What a model says to an input; `out` is for answers that are files, and else has to be empty.
  virtual Answers answers_of(const std::string& model, const std::string& out) = 0;
  /// These files of data, and those that are read with them.
  virtual std::vector<std::string> files_read(const std::vector<std::string>& files) const { return files; }
  /// Writes data of the task's format that a generator makes up.
  virtual void synthesize(const std::string& out, Index count, std::uint64_t seed) = 0;
  /// The options of that.
  virtual Settings generator_settings() { return {}; }
};

}  // namespace unroll::inline UNROLL_ISA
