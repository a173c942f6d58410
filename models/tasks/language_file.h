#pragma once

#include <nlohmann/json.hpp>

#include <unroll/models/checkpoint.h>
#include <unroll/models/tasks/language_model.h>
#include <unroll/models/tasks/language_task.h>
#include <unroll/models/text.h>

// What a language model's file says about itself, and how to open it.

namespace unroll::inline UNROLL_ISA {

/// Calls f(std::type_identity<Layer>{}) for the layer of a cell by name. Throws ValueError for an unknown name.
template <class F>
auto with_cell(const std::string& cell, F f) {
  if (cell == "rnn") return f(std::type_identity<RNN<>>{});
  if (cell == "gru") return f(std::type_identity<GRU<>>{});
  require<ValueError>(cell == "lstm", "cell: {} is none of rnn, gru, lstm", cell);
  return f(std::type_identity<LSTM<>>{});
}

nlohmann::json to_json(const LanguageTraining& options);
/// Throws FileError when a field is missing or of the wrong kind.
LanguageTraining from_json(const nlohmann::json& config, const std::string& file);

/// The parsed metadata of a language model's file.
struct LanguageFile {
  LanguageTraining options;
  Vocabulary vocabulary;
  nlohmann::json training;  // where training stood; null if the file does not say

  static LanguageFile read(const std::string& path);
  LanguageShape shape() const;
};

}  // namespace unroll::inline UNROLL_ISA
