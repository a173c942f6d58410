#include <unroll/models/tasks/tasks.h>

#include <unroll/layers/safetensors.h>
#include <unroll/models/tasks/language_task.h>
#include <unroll/models/tasks/synthetic_task.h>

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
    for (const std::string& name : synthetic_task_names()) list.push_back(synthetic_application(name));
    return list;
  }();
  return all;
}

std::string task_name_of(const std::string& model_file) {
  const Metadata about = Safetensors::read(model_file).metadata;
  const auto name = about.find("task");
  return name == about.end() ? "" : name->second;
}

Task& task_of(const std::string& model_file) {
  const std::string name = task_name_of(model_file);
  require<FileError>(!name.empty(), "{} does not say of which task it is", model_file);
  for (const auto& task : tasks())
    if (task->name() == name) return *task;
  throw FileError(fmt::format("{} is of the task '{}', which is not known", model_file, name));
}

}  // namespace unroll::inline UNROLL_ISA
