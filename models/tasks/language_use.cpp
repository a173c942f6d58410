#include <algorithm>
#include <cmath>

#include <unroll/models/metrics/likelihood.h>
#include <unroll/models/tasks/language_file.h>
#include <unroll/models/tasks/language_reading.h>
#include <unroll/models/tasks/language_task.h>

namespace unroll::inline UNROLL_ISA {
namespace {

/// Opens a model and calls f(model, file).
template <class F>
void with_model(const std::string& path, F f) {
  const LanguageFile file = LanguageFile::read(path);
  Rng rng;
  LanguageModel model(file.shape(), rng);
  load_trained(model, path);
  f(model, file);
}

/// The symbol that stands before the first one of a text: a line's end.
std::int32_t start_symbol(const Vocabulary& vocabulary) {
  return vocabulary.find(vocabulary.has_words() ? Vocabulary::line_end : "\n").value_or(0);
}

}  // namespace

LanguageTraining language_training_of(const std::string& model_file) { return LanguageFile::read(model_file).options; }

std::string sampled_text(const std::string& model_file, const Sampling& o) {
  require<ValueError>(o.length >= 0, "sample: --length {} is negative", o.length);
  check_sampling(o.choice);
  std::string text;
  with_model(model_file, [&](const auto& model, const LanguageFile& file) {
    Tape tape = Tape<>::inference();
    Rng rng(o.seed);
    std::vector<std::int32_t> ids = file.vocabulary.encode(o.prompt);
    const std::size_t prompted = ids.size();
    auto state = model.initial(tape, 1);
    std::int32_t last = start_symbol(file.vocabulary);
    for (std::size_t i = 0; i < prompted + static_cast<std::size_t>(o.length); ++i) {
      const auto [logits, next] = model.next(tape, last, state);
      if (i >= prompted) {
        const auto row = values(logits);
        ids.push_back(draw<float>({row.data, static_cast<std::size_t>(row.cols)}, o.choice, rng));
      }
      last = ids[i];
      state = tape.restart(next);
    }
    text = file.vocabulary.decode(ids);
  });
  return text;
}

void sample_language_model(const std::string& model_file, const Sampling& o, Report& report) {
  const std::string text = sampled_text(model_file, o);
  report.answer(text, {{"task", language_training_of(model_file).task()},
                       {"prompt", o.prompt},
                       {"text", text},
                       {"length", static_cast<std::int64_t>(o.length)}});
}

void score_language_model(const std::string& model_file, const std::string& text, const std::string& name,
                          Report& report) {
  with_model(model_file, [&](const auto& model, const LanguageFile& file) {
    Tape tape = Tape<>::inference();
    double total = 0;
    std::int64_t count = 0;
    Index number = 0;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      const std::string line = text.substr(at, end - at);
      at = end + 1;
      ++number;
      if (line.empty()) continue;
      std::vector<std::int32_t> ids = [&] {
        try {
          return file.vocabulary.encode(line);
        } catch (const Error& error) { throw FileError(fmt::format("{}:{}: {}", name, number, error.what())); }
      }();
      if (!file.vocabulary.has_words() && file.vocabulary.find("\n")) ids.push_back(file.vocabulary.id("\n"));
      double log_probability = 0;
      auto state = model.initial(tape, 1);
      std::int32_t last = start_symbol(file.vocabulary);
      for (const std::int32_t id : ids) {
        const auto [logits, next] = model.next(tape, last, state);
        log_probability -= static_cast<double>(cross_entropy(logits, std::span(&id, 1)).item());
        last = id;
        state = tape.restart(next);
      }
      const auto tokens = static_cast<std::int64_t>(ids.size());
      report.result({{"log_probability", log_probability}, {"tokens", tokens}, {"text", line}});
      total -= log_probability;
      count += tokens;
    }
    require<FileError>(count > 0, "score: there is no text to score");
    const double nats = total / static_cast<double>(count);
    Fields fields = language_metrics(file.options.words, "score", nats);
    fields.emplace_back("tokens", count);
    report.result(fields);
  });
}

void evaluate_language_model(const std::string& model_file, const TaskData& data, Report& report) {
  with_model(model_file, [&](const auto& model, const LanguageFile& file) {
    Workers alone(1);
    Likelihood total;
    Index symbols = 0, unknown = 0;
    BadLines bad(data.skip_bad);
    for (const std::string& name : data.data) {
      const Text text = Text::of(read_texts({name}, bad), file.vocabulary, name);
      const auto [nats, tokens] = read_text_with(model, text, {.steps = file.options.steps}, alone);
      total.add(nats * static_cast<double>(tokens), tokens);
      symbols += text.size(), unknown += text.unknowns();
    }
    report.warn(bad.summary());
    Fields fields = language_metrics(file.options.words, "eval", total.nats_per_token());
    fields.emplace_back("tokens", total.tokens());
    if (file.options.words) fields.emplace_back("unknown", static_cast<double>(unknown) / static_cast<double>(symbols));
    report.result(fields);
  });
}

Fields language_metrics(bool words, const std::string& split, double nats) {
  Fields fields{{"task", words ? "word-lm" : "char-lm"}, {"split", split}, {"nats_per_token", nats}};
  if (words)
    fields.emplace_back("perplexity", perplexity(nats));
  else
    fields.emplace_back("bits_per_character", bits_from_nats(nats));
  return fields;
}

}  // namespace unroll::inline UNROLL_ISA
