#pragma once

#include <functional>
#include <memory>

#include <unroll/models/report.h>
#include <unroll/models/settings.h>

namespace unroll::inline UNROLL_ISA {

/// The data that a command is given.
struct TaskData {
  std::vector<std::string> data = {}, valid = {}, test = {};
  double held_out = 0.1;  // the share of the data to validate on when `valid` is empty
  Index folds = 0;        // cross-validation in so many parts instead; 0: none
  bool skip_bad = false;  // malformed lines are left out and counted
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
  /// Writes data of the task's format that a generator makes up.
  virtual void synthesize(const std::string& out, Index count, std::uint64_t seed) = 0;
  /// The options of that.
  virtual Settings generator_settings() { return {}; }
};

/// All of them, by name.
const std::vector<std::unique_ptr<Task>>& tasks();
/// The name of the task that a model file is of; empty if it does not say. Throws FileError for a file that cannot be
/// read.
std::string task_name_of(const std::string& model_file);
/// The task that a model file is of. Throws FileError when it is of none.
Task& task_of(const std::string& model_file);

}  // namespace unroll::inline UNROLL_ISA
