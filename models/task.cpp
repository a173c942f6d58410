#include <unroll/models/task.h>

#include <unroll/layers/safetensors.h>
#include <unroll/models/tasks/language_task.h>
#include <unroll/models/tasks/synthetic_task.h>
#include <unroll/models/tasks/tasks.h>

namespace unroll::inline UNROLL_ISA {

const std::vector<std::unique_ptr<Task>>& tasks() {
  static const auto all = [] {
    std::vector<std::unique_ptr<Task>> list;
    list.push_back(dna_task());
    list.push_back(language_task(false));
    list.push_back(music_task());
    list.push_back(ner_task());
    list.push_back(pixels_task());
    list.push_back(sentiment_task());
    list.push_back(speech_task());
    list.push_back(translate_task());
    list.push_back(video_task());
    list.push_back(vowels_task());
    list.push_back(language_task(true));
    return list;
  }();
  return all;
}

Task& task_of(const std::string& model_file) {
  const auto about = Safetensors::read(model_file).metadata;
  const auto name = about.find("task");
  if (name == about.end() && is_synthetic(model_file))
    throw FileError(
        fmt::format("{} is of the task {}, which draws its own sequences: there is nothing to evaluate it on "
                    "and no input to answer; unroll inspect takes it",
                    model_file, synthetic_training_of(model_file).task));
  require<FileError>(name != about.end(), "{} does not say of which task it is", model_file);
  for (const auto& task : tasks())
    if (task->name() == name->second) return *task;
  throw FileError(fmt::format("{} is of the task '{}', which is not known", model_file, name->second));
}

}  // namespace unroll::inline UNROLL_ISA
