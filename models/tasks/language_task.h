#pragma once

#include <cstdint>
#include <string>

#include <unroll/layers/decoding/sampling.h>
#include <unroll/models/report.h>
#include <unroll/models/text.h>

// The language-model task of the program: train, sample, score.

namespace unroll::inline UNROLL_ISA {

struct LanguageTraining {
  std::string data, valid;  // files; without `valid` the last tenth of the data is held out
  bool words = false;
  Index max_words = 10000;
  std::string cell = "lstm";
  Index hidden = 256, layers = 2, embed = 64;
  Index steps = 64, batch = 32, epochs = 10;
  double dropout = 0.3, rate = 4e-3, clip = 1.0;
  std::uint64_t seed = 1;
  int threads = 2;
  Index shards = 2;
  std::string out;
  std::string resume;
  Index max_steps = 0;     // stop as if interrupted after so many steps; 0: never
  double seconds = 0;      // fit the number of steps to about this much time; 0: go by epochs
  bool baselines = false;  // compare with n-gram models counted in the same run
};

struct Sampling {
  std::string prompt;
  Index length = 400;
  SamplingOptions choice{.temperature = 0.8};
  std::uint64_t seed = 1;
};

/// Trains, reports and saves. Returns false when it was interrupted; what was reached is then saved.
bool train_language_model(const LanguageTraining& options, Report& report);
/// The same on texts that were read before; both have one vocabulary.
bool train_language_model(const LanguageTraining& options, const Text& train, const Text& valid, Report& report);

/// The options a model was trained with, to resume from: those of its file.
LanguageTraining language_training_of(const std::string& model_file);

/// Prints the prompt and what the model makes follow it.
void sample_language_model(const std::string& model_file, const Sampling& options, Report& report);

/// Log probability of each line, and of all together.
void score_language_model(const std::string& model_file, const std::string& text, Report& report);

}  // namespace unroll::inline UNROLL_ISA
