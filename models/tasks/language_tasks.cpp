#include <algorithm>
#include <array>
#include <fstream>

#include <unroll/models/tasks/language_task.h>

namespace unroll::inline UNROLL_ISA {
namespace {

/// What `eval`, `run` and `synthesize` do for language models. The command line trains them by a command of its own,
/// which can also be interrupted and resumed.
class LanguageTask : public Task {
 public:
  explicit LanguageTask(bool words) : o_(words ? LanguageTraining::of_words() : LanguageTraining{}) {}

  std::string name() const override { return o_.task(); }
  std::string what() const override {
    return o_.words ? "language model: the next word" : "language model: the next character";
  }
  std::string format() const override { return "UTF-8 text"; }
  Settings settings() override {
    Settings all = settings_of(o_);
    std::ranges::copy(running_settings(o_), std::back_inserter(all));
    return all;
  }

  bool train(const TaskData& data, const std::string& out, Report& report) override {
    require<ValueError>(data.folds == 0, "train: a running text cannot be cross-validated");
    o_.data = data.data;
    o_.valid = data.valid;
    o_.test = data.test;
    o_.skip_bad = data.skip_bad;
    o_.out = out;
    return train_language_model(o_, report);
  }
  void evaluate(const std::string& model, const TaskData& data, Report& report) override {
    evaluate_language_model(model, data, report);
  }
  /// The inputs are prompts.
  Answers answers_of(const std::string& model, const std::string& out) override {
    require<ValueError>(out.empty(), "run: --out has no use: what a model of {} says is no file", name());
    (void)language_training_of(model);  // throws for a model that cannot be read, before there is a prompt
    return [this, model](const std::string& prompt) {
      return sampled_text(model, {.prompt = prompt, .length = o_.words ? 50 : 300});
    };
  }
  /// Sentences of a subject, a verb and an object that go together.
  void synthesize(const std::string& out, Index count, std::uint64_t seed) override {
    static constexpr std::array subjects{"the cat", "a dog", "our neighbour", "the old ship", "every child"};
    static constexpr std::array verbs{"chases", "hears", "greets", "leaves", "likes"};
    static constexpr std::array objects{"the mouse", "a postman", "the street", "this harbour", "its mother"};
    Rng rng(seed);
    std::ofstream file(out);
    for (Index i = 0; i < count; ++i) {
      const auto subject = static_cast<std::size_t>(rng.below(5));
      const auto other = [&](double usual) {
        return rng.uniform() < usual ? subject : static_cast<std::size_t>(rng.below(5));
      };
      file << subjects[subject] << ' ' << verbs[other(0.6)] << ' ' << objects[other(0.8)] << " .\n";
    }
    file.close();
    require<FileError>(!file.fail(), "{} cannot be written", out);
  }

 private:
  LanguageTraining o_;
};

}  // namespace

std::unique_ptr<Task> language_task(bool words) { return std::make_unique<LanguageTask>(words); }

}  // namespace unroll::inline UNROLL_ISA
