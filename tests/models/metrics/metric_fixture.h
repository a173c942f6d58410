#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include <unroll/autograd/tensor/error.h>

namespace unroll {

/// A part of tests/fixtures/metrics.json: a list of cases.
inline const nlohmann::json& stored_metrics(const std::string& name) {
  static const nlohmann::json document = [] {
    std::ifstream file(UNROLL_SOURCE_DIR "/tests/fixtures/metrics.json");
    require<FileError>(file.is_open(), "fixture: metrics.json cannot be opened");
    return nlohmann::json::parse(file);
  }();
  const nlohmann::json& cases = document.at(name);
  require<FileError>(!cases.empty(), "fixture: {} has no cases", name);
  return cases;
}

}  // namespace unroll
