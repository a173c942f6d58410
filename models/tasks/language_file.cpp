#include <unroll/models/tasks/language_file.h>

namespace unroll::inline UNROLL_ISA {

using nlohmann::json;

json to_json(const LanguageTraining& options) {
  LanguageTraining o = options;
  json all = to_json(settings_of(o));
  all["task"] = o.task();
  all["data"] = o.data;
  all["valid"] = o.valid;
  all["skip_bad"] = o.skip_bad;
  return all;
}

LanguageTraining from_json(const json& config, const std::string& file) {
  LanguageTraining o;
  try {
    const std::string task = config.at("task");
    require<FileError>(task == "char-lm" || task == "word-lm", "model: {} is of the task {}, and no language model",
                       file, task);
    o.words = task == "word-lm";
    o.data = config.at("data");
    o.valid = config.at("valid");
    o.skip_bad = config.at("skip_bad");
  } catch (const json::exception& error) {
    throw FileError(fmt::format("model: {} describes no language model: {}", file, error.what()));
  }
  from_json(settings_of(o), config, file);
  try {
    check_options(o);
  } catch (const ValueError& error) { throw FileError(fmt::format("model: {}: {}", file, error.what())); }
  require<FileError>(!o.tied || o.embed == o.hidden, "model: {} is tied, but of two widths", file);
  const std::vector<std::string>& cells = cell_names();
  require<FileError>(std::find(cells.begin(), cells.end(), o.cell) != cells.end(), "model: {} has an unknown cell",
                     file);
  return o;
}

LanguageFile LanguageFile::read(const std::string& path) {
  const Safetensors file = Safetensors::read(path);
  const auto task = file.metadata.find("task");
  require<FileError>(task == file.metadata.end() || task->second == "char-lm" || task->second == "word-lm",
                     "model: {} is of the task {}, and no language model; unroll eval and run take it", path,
                     task == file.metadata.end() ? "" : task->second);
  const auto entry = [&](const char* name) {
    const auto found = file.metadata.find(name);
    require<FileError>(found != file.metadata.end(), "model: {} is a safetensors file without \"{}\" in its metadata",
                       path, name);
    return found->second;
  };
  const json config = json::parse(entry("config"), nullptr, false);
  require<FileError>(config.is_object(), "model: {} has a configuration that is no JSON object", path);
  LanguageFile result{from_json(config, path), Vocabulary::from_json(entry("vocabulary")), nullptr};
  if (const auto found = file.metadata.find("training"); found != file.metadata.end())
    result.training = json::parse(found->second, nullptr, false);
  // The extents must be those of the arrays before memory is set aside for a model of them.
  const LanguageShape s = result.shape();
  const auto shape_of_entry = [&](const std::string& name) {
    const auto found = file.tensors.find(name);
    require<FileError>(found != file.tensors.end() && found->second.shape.rank() == 2, "model: {} has no matrix {}",
                       path, name);
    return found->second.shape;
  };
  const auto check = [&](const char* name, bool fits) {
    require<FileError>(fits, "model: {} says another shape of {} than its entry has", path, name);
  };
  check("embed/table", shape_of_entry("embed/table") == Shape{s.symbols, s.embed});
  if (!s.tied) check("head/weight", shape_of_entry("head/weight")[1] == s.symbols);
  const Shape first = shape_of_entry("rnn/layers/0/cell/input/weight");
  check("the cell", first[0] == s.embed && first[1] >= s.hidden && first[1] <= 8 * s.hidden);
  require<FileError>(file.tensors.contains(fmt::format("rnn/layers/{}/cell/input/weight", s.layers - 1)),
                     "model: {} has fewer layers than it says", path);
  return result;
}

LanguageShape shape_of(const LanguageTraining& o, Index symbols) {
  return {symbols,  o.embed, o.hidden, o.layers, o.dropout, o.cell, o.dropout_input, o.dropout_recurrent,
          o.locked, o.tied};
}

LanguageShape LanguageFile::shape() const { return shape_of(options, vocabulary.size()); }

}  // namespace unroll::inline UNROLL_ISA
