#pragma once

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <unroll/layers/layers.h>
#include <unroll/models/checkpoint.h>
#include <unroll/models/examples.h>
#include <unroll/models/fit.h>
#include <unroll/models/task.h>

namespace unroll::inline UNROLL_ISA {

/// A task that is fitted to examples. A definition D has
/// - `name`, `what`, `format`;
/// - `Options` with `fit` (FitOptions) and `fields` of its own;
/// - `Example`, with length(), and with `place`, "file" or "file:12", if encode() may find it wrong;
/// - `Symbols`: what the training data teach before training (vocabularies, labels), with to_json() and from_json();
/// - `Model(options, symbols, rng)` with `loss(tape, examples)`;
/// - `read(files, options, bad)`, the examples of files;
/// - `learn(examples, options)`, the symbols; `encode(example, symbols)`, which puts ids for them, once, and throws
///   ValueError or IndexError for an example that the symbols are not of;
/// - `evaluate(model, symbols, examples)`, a Validation;
/// - `answer(model, symbols, input)`, with a file to write as one more where the answer is one;
/// - `synthesize(path, count, rng)`, or, with an array `forms` of names, `synthesize(path, form, count, rng)`.
///
/// It may have `group(example)`: examples of one group are never parted; and `in_order(examples)`: whether they follow
/// each other in time, so that the last are held out, not some drawn at random; and `hold_out(examples, options)`,
/// which takes out what to validate on: when it takes none, a share is held out as ever; `held_out_by(options)`, the
/// name of an option by which it does, or nothing; and `beside(files)`, what is read with these.
template <class D>
class SupervisedTask : public Task {
  using Options = typename D::Options;
  using Example = typename D::Example;
  using Symbols = typename D::Symbols;
  using Model = typename D::Model;
  using Examples = std::vector<Example>;

 public:
  std::string name() const override { return D::name; }
  std::string what() const override { return D::what; }
  std::string format() const override { return D::format; }
  Settings settings() override {
    Settings all = settings_of(options_);
    add_settings(all, options_.fit);
    return all;
  }

  bool train(const TaskData& data, const std::string& out, Report& report) override {
    check(settings());
    const bool share = data.held_out.has_value();  // is asked for
    if constexpr (requires { D::held_out_by(options_); })
      for (const auto& [option, given] :
           {std::pair("--held-out", share), {"--valid", !data.valid.empty()}, {"--folds", data.folds > 0}})
        require<ValueError>(!given || D::held_out_by(options_).empty(),
                            "train: {} says what to validate on, and so does {}", D::held_out_by(options_), option);
    Parts parts{.train = read(data.data, data, report), .valid = {}, .test = {}};
    if (data.folds > 0) return cross_validate(parts.train, data, report);
    if constexpr (requires { D::hold_out(parts.train, options_); })
      if (data.valid.empty() && !share) parts.valid = D::hold_out(parts.train, options_);
    parts.drawn = data.valid.empty() && parts.valid.empty();
    if (parts.drawn)
      std::tie(parts.train, parts.valid) = part(std::move(parts.train), 0, data.held_out.value_or(usual_share));
    else if (!data.valid.empty())
      parts.valid = read(data.valid, data, report);
    if (!data.test.empty()) parts.test = read(data.test, data, report);
    Trained trained = fitted(parts, data, out, report);
    if (!out.empty()) report.say("saved " + out);
    if (!trained.finished) report.say("interrupted; what was reached is scored now, and Ctrl-C again ends at once");
    if (!parts.test.empty()) report.result(metrics("test", trained, parts.test));
    report.result(metrics("valid", trained, parts.valid));
    return trained.finished;
  }

  void evaluate(const std::string& model, const TaskData& data, Report& report) override {
    Trained trained = open(model);
    Examples examples = read(data.data, data, report);
    encode(examples, trained.symbols, data, report);
    report.result(metrics("eval", trained, examples));
  }

  Answers answers_of(const std::string& model, const std::string& out) override {
    const auto trained = std::make_shared<const Trained>(open(model));
    if constexpr (requires { D::answer(*trained->model, trained->symbols, model, out); }) {
      return
          [trained, out](const std::string& input) { return D::answer(*trained->model, trained->symbols, input, out); };
    } else {
      require<ValueError>(out.empty(), "run: --out has no use: what a model of {} says is no file", D::name);
      return [trained](const std::string& input) { return D::answer(*trained->model, trained->symbols, input); };
    }
  }

  std::vector<std::string> files_read(const std::vector<std::string>& files) const override {
    std::vector<std::string> all = files;
    if constexpr (requires { D::beside(files); }) std::ranges::copy(D::beside(files), std::back_inserter(all));
    return all;
  }

  void synthesize(const std::string& out, Index count, std::uint64_t seed) override {
    Rng rng{seed};
    if constexpr (several_forms) {
      require<ValueError>(std::ranges::find(D::forms, form_) != D::forms.end(), "synthesize: --form {} is none of {}",
                          form_, fmt::join(D::forms, ", "));
      D::synthesize(out, form_, count, rng);
    } else {
      D::synthesize(out, count, rng);
    }
  }
  Settings generator_settings() override {
    Settings all;
    if constexpr (several_forms)
      all.push_back({"form", &form_, "what is made up", {}, {D::forms.begin(), D::forms.end()}});
    return all;
  }

 private:
  struct Trained {
    Symbols symbols;
    std::unique_ptr<Model> model;
    bool finished = true;
  };
  struct Parts {
    Examples train, valid, test;
    bool drawn = false;  // what to validate on was drawn from the same examples
  };
  static constexpr double usual_share = 0.1;
  static constexpr bool several_forms = requires { D::forms; };

  Examples read(const std::vector<std::string>& files, const TaskData& data, Report& report) const {
    BadLines bad(data.skip_bad);
    Examples examples = D::read(files, options_, bad);
    report.warn(bad.summary());
    require<FileError>(!examples.empty(), "{}: there is nothing to read", files[0]);
    return examples;
  }

  std::pair<Examples, Examples> part(Examples all, double begin, double end) const {
    return part_examples<D>(std::move(all), begin, end, static_cast<std::uint64_t>(options_.fit.seed));
  }

  /// The best epoch is kept; of a fold, which has a number from 1 and a folder of its own for its curves, the last.
  Trained fitted(Parts& parts, const TaskData& data, const std::string& out, Report& report, Index fold = 0) {
    auto& [train, valid, test, drawn] = parts;
    Trained t{D::learn(train, options_), nullptr};
    if (drawn && take_back<D>(train, valid, t.symbols, report)) t.symbols = D::learn(train, options_);
    for (Examples* examples : {&train, &valid, &test})
      if (!examples->empty()) encode(*examples, t.symbols, data, report);
    Rng rng{static_cast<std::uint64_t>(options_.fit.seed)};
    t.model = std::make_unique<Model>(options_, t.symbols, rng);
    report.say(fmt::format("{}: {} examples to train on, {} to validate on, {} parameters", D::name, train.size(),
                           valid.size(), count_parameters(*t.model)));
    FitProblem problem;
    problem.parameters = parameters(*t.model);
    for (const Example& e : train) problem.lengths.push_back(e.length());
    problem.loss = [&t, &parts](Tape<>& tape, std::span<const Index> indices) {
      std::vector<const Example*> batch;
      for (const Index i : indices) batch.push_back(&parts.train[static_cast<std::size_t>(i)]);
      return Var<>(t.model->loss(tape, std::span<const Example* const>(batch)));
    };
    problem.validate = [&t, &parts] {
      const std::span<const Example> examples(parts.valid);
      if constexpr (requires { D::validate(*t.model, t.symbols, examples); })
        return D::validate(*t.model, t.symbols, examples);
      else
        return D::evaluate(*t.model, t.symbols, examples);
    };
    problem.choose = fold == 0;
    problem.keep = [&] {
      if (!out.empty()) save(*t.model, out, metadata(t.symbols));
    };
    FitOptions options = options_.fit;
    if (fold > 0 && !options.log.empty()) options.log += fmt::format("/fold-{}", fold);
    t.finished = fit(problem, options, report);
    return t;
  }

  bool cross_validate(const Examples& all, const TaskData& data, Report& report) {
    const Index folds = data.folds;
    std::vector<std::string> names;
    std::vector<double> sums;
    for (Index k = 0; k < folds; ++k) {
      const auto share = [&](Index i) { return static_cast<double>(i) / static_cast<double>(folds); };
      Parts parts{.train = {}, .valid = {}, .test = {}, .drawn = true};
      std::tie(parts.train, parts.valid) = part(all, share(k), share(k + 1));
      Trained trained = fitted(parts, data, "", report, k + 1);
      if (!trained.finished) {
        report.say(fmt::format("interrupted in fold {} of {}, which has no score", k + 1, folds));
        return false;
      }
      const Fields fields = metrics(fmt::format("fold {}", k + 1), trained, parts.valid);
      report.result(fields);
      std::size_t i = 0;
      for (const auto& [name, value] : fields)
        if (const auto* number = std::get_if<double>(&value)) {
          if (k == 0) names.push_back(name), sums.push_back(0);
          sums[i++] += *number;
        }
    }
    Fields mean{{"task", name()}, {"split", fmt::format("mean of {} folds", folds)}};
    for (std::size_t i = 0; i < names.size(); ++i) mean.emplace_back(names[i], sums[i] / static_cast<double>(folds));
    report.result(mean);
    return true;
  }

  static void encode(Examples& examples, const Symbols& symbols, const TaskData& data, Report& report) {
    BadLines bad(data.skip_bad, "unknown example");
    encode_all<D>(examples, symbols, bad);
    report.warn(bad.summary());
    require<FileError>(!examples.empty(), "{}: the model knows none of the examples", D::name);
  }

  Fields metrics(const std::string& split, const Trained& t, const Examples& examples) const {
    Fields fields{{"task", name()}, {"split", split}, {"examples", static_cast<std::int64_t>(examples.size())}};
    const Validation v = D::evaluate(*t.model, t.symbols, std::span<const Example>(examples));
    fields.insert(fields.end(), v.fields.begin(), v.fields.end());
    return fields;
  }

  Metadata metadata(const Symbols& symbols) {
    return {{"format", "unroll"},
            {"task", name()},
            {"config", to_json(settings()).dump()},
            {"symbols", symbols.to_json().dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)}};
  }

  /// Its options become those of this task.
  Trained open(const std::string& path) {
    const Metadata about = Safetensors::read(path).metadata;
    const auto entry = [&](const char* name) {
      const auto found = about.find(name);
      require<ValueError>(found != about.end(), "there is no '{}'", name);
      return nlohmann::json::parse(found->second);
    };
    Trained t;
    try {
      from_json(settings(), entry("config"), path);
      check(settings());
      t.symbols = Symbols::from_json(entry("symbols"));
      Rng rng{0};
      t.model = std::make_unique<Model>(options_, t.symbols, rng);
    } catch (const FileError&) { throw; } catch (const std::exception& error) {
      throw FileError(fmt::format("{} does not say how it was trained: {}", path, error.what()));
    }
    load_trained(*t.model, path);
    return t;
  }

  static std::string first_form() {
    if constexpr (several_forms)
      return D::forms[0];
    else
      return "";
  }

  Options options_;
  std::string form_ = first_form();
};

}  // namespace unroll::inline UNROLL_ISA
