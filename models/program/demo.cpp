#include <unroll/models/program/demo.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include <unroll/models/data/text.h>
#include <unroll/models/tasks/language_task.h>

namespace unroll::inline UNROLL_ISA {
namespace fs = std::filesystem;
namespace {

/// The project's sources and documents, in the order of their names.
std::vector<fs::path> texts_of(const fs::path& root) {
  std::vector<fs::path> files;
  for (const char* folder : {"autograd", "layers", "optim", "models", "tests", "bench", "cmake"}) {
    if (!fs::is_directory(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string kind = entry.path().extension().string();
      if (entry.is_regular_file() && (kind == ".h" || kind == ".cpp" || kind == ".md")) files.push_back(entry.path());
    }
  }
  for (const char* file : {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CMakeLists.txt"})
    if (fs::is_regular_file(root / file)) files.push_back(root / file);
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

bool run_demo(const Demo& options, Report& report) {
  const std::vector<fs::path> files = texts_of(options.root);
  require<FileError>(!files.empty(), "demo: {} does not hold the sources of unroll; say --root DIR", options.root);
  // Every tenth file comes last, so that the held-out tail has a part of every kind.
  std::string content;
  for (const bool last : {false, true})
    for (std::size_t i = 0; i < files.size(); ++i)
      if ((i % 10 == 9) == last) content += read_text(files[i]);
  const auto [train, valid] = Text::of(std::move(content), {}, "(the sources of unroll)").split(0.1);
  report.say(fmt::format("The text: {} source files and documents of unroll itself.", files.size()));
  LanguageTraining training;
  training.hidden = 192;
  training.layers = 1;
  training.steps = 64;
  training.batch = 16;
  training.dropout = 0.1;
  training.rate = 5e-3;
  training.seconds = options.seconds;
  training.patience = 0;
  training.threads = options.threads;
  training.out = options.out;
  training.baselines = true;
  const bool finished = train_language_model(training, train, valid, report);
  if (!finished) return false;
  report.say("\nA sample, beginning with \"/// \":\n");
  sample_language_model(options.out, {.prompt = "/// ", .length = 600, .choice = {.temperature = 0.6}}, report);
  report.say(fmt::format("\nMore of it: ./run unroll sample {} --prompt 'template ' --temperature 0.5", options.out));
  return true;
}

}  // namespace unroll::inline UNROLL_ISA
