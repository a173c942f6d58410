#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include <unroll/models/tasks/tasks.h>

namespace unroll {

/// A task of the program as the program runs it, in a folder of its own, which goes when this does, as do the settings.
class TaskRun {
 public:
  Task& task;

  explicit TaskRun(const std::string& name)
      : task(find(name)), before_(to_json(task.settings())), made_before_(to_json(task.generator_settings())) {
    static int count = 0;
    folder_ = std::filesystem::temp_directory_path() / fmt::format("unroll-{}-{}-{}", name, ::getpid(), count++);
    std::filesystem::create_directories(folder_);
  }
  TaskRun(const TaskRun&) = delete;
  ~TaskRun() {
    from_json(task.settings(), before_, "");
    from_json(task.generator_settings(), made_before_, "");
    std::filesystem::remove_all(folder_);
  }

  std::string path(const std::string& name) const { return folder_ / name; }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::binary) << text;
  }
  /// Some settings anew; the others stay.
  void set(const nlohmann::json& some) const {
    nlohmann::json all = to_json(task.settings());
    all.update(some);
    from_json(task.settings(), all, "");
  }

  /// The settings of what is made up.
  void set_generator(const nlohmann::json& all) const { from_json(task.generator_settings(), all, ""); }

  /// The metrics that it ends with.
  nlohmann::json train(const TaskData& data) const {
    return last([&](Report& report) { task.train(data, model(), report); });
  }
  nlohmann::json evaluate(const TaskData& data) const {
    return last([&](Report& report) { task.evaluate(model(), data, report); });
  }
  std::string answer(const std::string& input, const std::string& out = "") const {
    return task.answers_of(model(), out)(input);
  }
  std::string model() const { return path("model.safetensors"); }

 private:
  static Task& find(const std::string& name) {
    for (const auto& task : tasks())
      if (task->name() == name) return *task;
    throw ValueError("there is no task " + name);
  }

  /// The last object that f reports; what it says goes nowhere.
  nlohmann::json last(const std::function<void(Report&)>& f) const {
    const std::string file = path("stdout");
    {
      const Redirected out(STDOUT_FILENO, file), err(STDERR_FILENO, "/dev/null");
      Report report(true);
      f(report);
    }
    std::ifstream in(file);
    std::string line, found;
    while (std::getline(in, line)) found = line;
    return nlohmann::json::parse(found);
  }

  struct Redirected {
    int to, kept;
    Redirected(int to, const std::string& file) : to(to), kept(::dup(to)) {
      std::fflush(nullptr);
      const int opened = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      ::dup2(opened, to);
      ::close(opened);
    }
    Redirected(const Redirected&) = delete;
    ~Redirected() {
      std::fflush(nullptr);
      ::dup2(kept, to);
      ::close(kept);
    }
  };

  nlohmann::json before_, made_before_;
  std::filesystem::path folder_;
};

}  // namespace unroll
