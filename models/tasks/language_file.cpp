#include <unroll/models/tasks/language_file.h>

namespace unroll::inline UNROLL_ISA {

using nlohmann::json;

json to_json(const LanguageTraining& o) {
  return {{"task", o.words ? "word-lm" : "char-lm"},
          {"data", o.data},
          {"valid", o.valid},
          {"max_words", o.max_words},
          {"cell", o.cell},
          {"hidden", o.hidden},
          {"layers", o.layers},
          {"embed", o.embed},
          {"steps", o.steps},
          {"batch", o.batch},
          {"epochs", o.epochs},
          {"dropout", o.dropout},
          {"rate", o.rate},
          {"clip", o.clip},
          {"seed", o.seed},
          {"shards", o.shards}};
}

LanguageTraining from_json(const json& config, const std::string& file) {
  LanguageTraining o;
  try {
    const std::string task = config.at("task");
    require<FileError>(task == "char-lm" || task == "word-lm", "model: {} is a {}, not a language model", file, task);
    o.words = task == "word-lm";
    o.data = config.at("data");
    o.valid = config.at("valid");
    o.max_words = config.at("max_words");
    o.cell = config.at("cell");
    o.hidden = config.at("hidden");
    o.layers = config.at("layers");
    o.embed = config.at("embed");
    o.steps = config.at("steps");
    o.batch = config.at("batch");
    o.epochs = config.at("epochs");
    o.dropout = config.at("dropout");
    o.rate = config.at("rate");
    o.clip = config.at("clip");
    o.seed = config.at("seed");
    o.shards = config.at("shards");
  } catch (const json::exception& error) {
    throw FileError(fmt::format("model: {} describes no language model: {}", file, error.what()));
  }
  constexpr Index most = Index{1} << 20;
  for (const Index extent : {o.hidden, o.layers, o.embed, o.steps, o.batch, o.epochs, o.shards})
    require<FileError>(extent > 0 && extent <= most, "model: {} has an extent of {}", file, extent);
  require<FileError>(o.layers <= 64, "model: {} has {} layers", file, o.layers);
  const std::vector<std::string>& cells = cell_names();
  require<FileError>(std::find(cells.begin(), cells.end(), o.cell) != cells.end(), "model: {} has an unknown cell",
                     file);
  return o;
}

LanguageFile LanguageFile::read(const std::string& path) {
  const Safetensors file = Safetensors::read(path);
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
  check("head/weight", shape_of_entry("head/weight")[1] == s.symbols);
  const Shape first = shape_of_entry("rnn/layers/0/cell/input/weight");
  check("the cell", first[0] == s.embed && first[1] >= s.hidden && first[1] <= 8 * s.hidden);
  require<FileError>(file.tensors.contains(fmt::format("rnn/layers/{}/cell/input/weight", s.layers - 1)),
                     "model: {} has fewer layers than it says", path);
  return result;
}

LanguageShape LanguageFile::shape() const {
  return {vocabulary.size(), options.embed, options.hidden, options.layers, options.dropout, options.cell};
}

}  // namespace unroll::inline UNROLL_ISA
