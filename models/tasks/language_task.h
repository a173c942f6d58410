#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <unroll/layers/decoding/sampling.h>
#include <unroll/models/data/text.h>
#include <unroll/models/report.h>
#include <unroll/models/settings.h>
#include <unroll/models/task.h>

// The language-model tasks of the program: train, evaluate, sample, score.

namespace unroll::inline UNROLL_ISA {

struct LanguageTraining {
  std::vector<std::string> data, valid;  // files; without `valid` the last tenth of the data is held out
  std::vector<std::string> test = {};    // files that the trained model is tried on; empty: none
  bool skip_bad = false;                 // lines that are not UTF-8 are left out and counted
  bool words = false;
  Index max_words = 10000;
  std::string cell = "lstm";
  Index hidden = 256, layers = 2, embed = 64;
  Index steps = 64, batch = 32, epochs = 10;
  double dropout = 0.3, dropout_input = 0, dropout_recurrent = 0;
  bool locked = false, tied = false;
  double init = 0;
  std::string optimizer = "adam", schedule = "cosine";
  double rate = 4e-3, clip = 1.0;
  Index hold = 4;
  double factor = 0.5;
  Index patience = 10;
  Index seed = 1, shards = 2;
  Index threads = 2;
  std::string out;
  std::string resume;
  std::string log;         // folder for curves; empty: none
  double minutes = 0;      // no epoch is begun after so many; 0: any
  Index max_steps = 0;     // stop after so many steps, to be resumed; 0: never
  double seconds = 0;      // fit the number of steps to about this much time; 0: go by epochs
  bool baselines = false;  // compare with n-gram models counted in the same run

  /// The defaults of `word-lm`.
  static LanguageTraining of_words();
  std::string task() const { return words ? "word-lm" : "char-lm"; }

  /// What a model file says of its training.
  static void fields(auto& o, auto&& f) {
    f("max-words", o.max_words, "most symbols of a word vocabulary", Range{2, 1 << 24});
    f("cell", o.cell, "recurrent cell");
    f("hidden", o.hidden, "width of the recurrent layers", range::width);
    f("layers", o.layers, "number of recurrent layers", range::depth);
    f("embed", o.embed, "width of the embedding", range::width);
    f("steps", o.steps, "steps of truncated back-propagation", range::count);
    f("batch", o.batch, "sequences read side by side", range::batch);
    f("epochs", o.epochs, "times the data are read", range::count);
    f("dropout", o.dropout, "share of outputs dropped, between layers and after the last", range::dropped);
    f("dropout-input", o.dropout_input, "share of the embedding's features dropped", range::dropped);
    f("dropout-recurrent", o.dropout_recurrent, "share of recurrent weights dropped for each window", range::dropped);
    f("locked", o.locked, "one mask of dropout for all steps of a window");
    f("tied", o.tied, "the embedding is the output layer too; of one width with the layers");
    f("init", o.init, "all weights uniform up to so much; 0: as each layer does", Range{0, 1e6});
    f("optimizer", o.optimizer, "adam or sgd");
    f("schedule", o.schedule, "cosine: to a fiftieth of the rate at the end; steps: by --factor after --hold epochs");
    f("rate", o.rate, "largest learning rate", range::rate);
    f("clip", o.clip, "largest norm of the gradient; 0: any", range::not_negative);
    f("hold", o.hold, "epochs with the whole rate", range::count_or_none);
    f("factor", o.factor, "what the rate is multiplied by before each further epoch", Range{1e-12, 1});
    f("patience", o.patience, "epochs without a better validation before training ends; 0: any number",
      range::count_or_none);
    f("seed", o.seed, "seed of weights and dropout");
    f("shards", o.shards, "parts of the batch that may run side by side; the result depends on them", range::shards);
  }
};

struct Sampling {
  std::string prompt;
  Index length = 400;
  SamplingOptions choice{.temperature = 0.8};
  std::uint64_t seed = 1;
};

/// Throws ValueError for options outside their domain, and FileError when the model could not be written.
void check_language_training(const LanguageTraining& options);

/// Trains, reports and saves. Returns false when it was interrupted; what was reached is then saved.
bool train_language_model(const LanguageTraining& options, Report& report);
/// The same on texts that were read before; they have one vocabulary.
bool train_language_model(const LanguageTraining& options, const Text& train, const Text& valid, Report& report,
                          const Text* test = nullptr);

/// The options a model was trained with, to resume from: those of its file.
LanguageTraining language_training_of(const std::string& model_file);

/// The prompt and what the model makes follow it.
std::string sampled_text(const std::string& model_file, const Sampling& options);
/// Prints the prompt and what the model makes follow it.
void sample_language_model(const std::string& model_file, const Sampling& options, Report& report);

/// Log probability of each line, and of all together; `name` is that of the text in messages, which also say the line.
void score_language_model(const std::string& model_file, const std::string& text, const std::string& name,
                          Report& report);

/// How well a model predicts files, each read as one running text; of words also the share of unknown ones.
void evaluate_language_model(const std::string& model_file, const TaskData& data, Report& report);

/// Names and values of a likelihood as people who model this kind of text read them.
Fields language_metrics(bool words, const std::string& split, double nats_per_token);

/// The task `char-lm` or `word-lm`; `run` samples from prompts.
std::unique_ptr<Task> language_task(bool words);

}  // namespace unroll::inline UNROLL_ISA
