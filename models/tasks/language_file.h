#pragma once

#include <nlohmann/json.hpp>

#include <unroll/models/checkpoint.h>
#include <unroll/models/data/text.h>
#include <unroll/models/tasks/language_model.h>
#include <unroll/models/tasks/language_task.h>

// What a language model's file says about itself, and how to open it.

namespace unroll::inline UNROLL_ISA {

nlohmann::json to_json(const LanguageTraining& options);
/// Throws FileError when a field is missing or of the wrong kind.
LanguageTraining from_json(const nlohmann::json& config, const std::string& file);

/// The extents of the model that the options ask for.
LanguageShape shape_of(const LanguageTraining& options, Index symbols);

/// The parsed metadata of a language model's file.
struct LanguageFile {
  LanguageTraining options;
  Vocabulary vocabulary;
  nlohmann::json training;  // where training stood; null if the file does not say

  static LanguageFile read(const std::string& path);
  LanguageShape shape() const;
};

}  // namespace unroll::inline UNROLL_ISA
