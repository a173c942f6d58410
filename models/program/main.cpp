#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include <unroll/layers/cells/any_cell.h>
#include <unroll/models/data/text.h>
#include <unroll/models/program/demo.h>
#include <unroll/models/program/options.h>
#include <unroll/models/program/task_commands.h>
#include <unroll/models/program/usage.h>
#include <unroll/models/tasks/inspect_task.h>
#include <unroll/models/tasks/language_reading.h>
#include <unroll/models/tasks/language_task.h>
#include <unroll/models/tasks/synthetic_task.h>

using namespace unroll;

namespace {

constexpr int done = 0, failed = 1, wrong_input = 2, interrupted = 130;

/// A name for a model that no file has yet.
std::string free_name(const std::string& stem) {
  std::string name = stem + ".safetensors";
  for (int i = 2; std::filesystem::exists(name); ++i) name = fmt::format("{}-{}.safetensors", stem, i);
  return name;
}

/// Throws ValueError for an option of `command` that differs from what a training was begun with.
void check_resumed(const CLI::App* command, const Settings& given, const Settings& begun, const std::string& file) {
  const nlohmann::json now = to_json(given), before = to_json(begun);
  for (const Setting& s : given)
    require<ValueError>(command->count("--" + s.name) == 0 || now[s.name] == before[s.name],
                        "train: {} goes on with the settings that it was begun with: --{} is {} and cannot change",
                        file, s.name, before[s.name].dump());
}

struct Program {
  CLI::App app{"Train, evaluate and use recurrent sequence models.", "unroll"};
  bool json = false;
  std::function<int(Report&)> command;

  Program() {
    app.set_version_flag("--version", "unroll 0.1.0");
    app.require_subcommand(1);
    app.get_formatter()->column_width(34);
    CLI::App* train = app.add_subcommand("train", "train a model");
    train->require_subcommand(1);
    static LanguageTraining characters, words = LanguageTraining::of_words();
    add_train_language(train, characters, "language model: the next character, or with --words the next word");
    add_train_language(train, words, "language model: the next word");
    for (const std::string& task : synthetic_task_names()) add_train_synthetic(train, task);
    add_task_commands(
        app, *train, [this](CLI::App* to, const char* name, const std::string& what) { return add(to, name, what); },
        [this](std::function<int(Report&)> what) { command = std::move(what); });
    add_sample();
    add_score();
    add_inspect();
    add_demo();
  }

  CLI::App* add(CLI::App* parent, const char* name, const std::string& what) {
    CLI::App* sub = parent->add_subcommand(name, what);
    sub->option_defaults()->always_capture_default()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    sub->add_flag("--json", json, "one JSON object per line on standard output");
    return sub;
  }

  void add_train_language(CLI::App* train, LanguageTraining& o, const char* what) {
    CLI::App* lm = add(train, o.task().c_str(), what);
    auto* data = add_files(lm, "--data", o.data, "text to train on");
    add_files(lm, "--valid", o.valid, "text to validate on; without it the last tenth of the data");
    add_files(lm, "--test", o.test, "text to try the trained model on");
    lm->add_flag("--skip-bad", o.skip_bad, "leave out lines that are not UTF-8, and count them");
    if (!o.words) lm->add_flag("--words", o.words, "words instead of characters, with the defaults of this command");
    add_settings(lm, settings_of(o));
    add_settings(lm, running_settings(o));
    add_number(lm, "minutes", o.minutes, "no epoch is begun after so many; 0: any number", range::not_negative);
    add_number(lm, "max-steps", o.max_steps, "stop after so many steps, to be resumed; 0: never", range::not_negative);
    lm->add_flag("--baselines", o.baselines, "compare with n-gram models");
    auto* out = lm->add_option("--out", o.out, "model file to write")->type_name("MODEL");
    auto* resume = lm->add_option("--resume", o.resume, "go on with an interrupted training, with its options")
                       ->type_name("MODEL");
    lm->callback([this, &o, lm, data, out, resume] {
      command = [=, &o](Report& report) {
        if (resume->count() > 0) {
          LanguageTraining saved = language_training_of(o.resume);
          require<ValueError>(saved.words || !o.words, "train: {} is of the task {}", o.resume, saved.task());
          check_resumed(lm, settings_of(o), settings_of(saved), o.resume);
          saved.resume = o.resume;
          saved.out = out->count() > 0 ? o.out : o.resume;
          saved.threads = o.threads;
          saved.minutes = o.minutes;
          saved.max_steps = o.max_steps;
          saved.log = o.log;
          saved.baselines = o.baselines;
          saved.test = o.test;
          saved.skip_bad = saved.skip_bad || o.skip_bad;
          if (data->count() > 0) saved.data = o.data;
          if (!o.valid.empty()) saved.valid = o.valid;
          return train_language_model(saved, report) ? done : interrupted;
        }
        require<ValueError>(data->count() > 0, "train: --data FILE is needed");
        if (out->count() == 0) o.out = free_name(o.task());
        return train_language_model(o, report) ? done : interrupted;
      };
    });
  }

  void add_train_synthetic(CLI::App* train, const std::string& name) {
    static SyntheticTraining o{.start = 20};
    CLI::App* task = add(train, name.c_str(), synthetic_task(name).what);
    add_settings(task, settings_of(o));
    add_settings(task, running_settings(o));
    add_number(task, "max-steps", o.max_steps, "stop after so many updates, to be resumed; 0: never",
               range::not_negative);
    auto* out = task->add_option("--out", o.out, "model file to write")->type_name("MODEL");
    auto* resume = task->add_option("--resume", o.resume, "go on with an interrupted training, with its options")
                       ->type_name("MODEL");
    task->callback([this, name, task, out, resume] {
      command = [=](Report& report) {
        SyntheticTraining training = o;
        training.task = name;
        if (resume->count() > 0) {
          training = synthetic_training_of(o.resume);
          require<ValueError>(training.task == name, "train: {} is of the task {}", o.resume, training.task);
          check_resumed(task, settings_of(o), settings_of(training), o.resume);
          training.resume = o.resume;
          training.max_steps = o.max_steps;
          training.threads = o.threads;
          training.log = o.log;
          training.out = out->count() > 0 ? o.out : o.resume;
        } else if (out->count() == 0) {
          training.out = free_name(name);
        }
        return train_synthetic(training, report) ? done : interrupted;
      };
    });
  }

  void add_inspect() {
    static InspectOptions o;
    CLI::App* inspect = add(&app, "inspect", "how far back a model's error reaches, and how open its gates are");
    inspect->add_option("model", o.model, "model file")->required()->type_name("MODEL");
    inspect->add_option("--data", o.data, "text to read, for a language model")->type_name("FILE");
    add_number(inspect, "steps", o.steps, "steps of the text", range::count);
    add_number(inspect, "batch", o.batch, "sequences read side by side", range::batch);
    add_number(inspect, "seeds", o.seeds, "random seeds for the norms of Jacobians", {1, 1000});
    add_number(inspect, "seed", o.seed, "from which they come, and sequences of a task that draws its own");
    inspect->add_option("--csv", o.csv, "write all numbers")->type_name("FILE");
    inspect->add_option("--svg", o.svg, "write a picture, with gnuplot")->type_name("FILE");
    inspect->callback([this] {
      command = [](Report& report) {
        inspect_model(o, report);
        return done;
      };
    });
  }

  void add_sample() {
    static std::string model;
    static Sampling o;
    CLI::App* sample = add(&app, "sample", "print text that a language model makes");
    sample->add_option("model", model, "model file")->required()->type_name("MODEL");
    sample->add_option("--prompt", o.prompt, "text to go on from")->type_name("TEXT");
    add_number(sample, "length", o.length, "symbols to make");
    add_number(sample, "temperature", o.choice.temperature,
               "below 1: likelier symbols more often; 0: the likeliest always");
    add_number(sample, "top-k", o.choice.top_k, "choose among the k likeliest symbols; 0: all");
    add_number(sample, "top-p", o.choice.top_p, "choose among the likeliest symbols that together have probability p");
    add_number(sample, "seed", o.seed, "seed of the draws");
    sample->callback([this] {
      command = [](Report& report) {
        sample_language_model(model, o, report);
        return done;
      };
    });
  }

  void add_score() {
    static std::string model, text, file;
    CLI::App* score = add(&app, "score", "log probability of sentences, perplexity of all");
    score->add_option("model", model, "model file")->required()->type_name("MODEL");
    auto* given = score->add_option("--text", text, "a sentence, or several on lines of their own")->type_name("TEXT");
    auto* data =
        score->add_option("--data", file, "a file with a sentence on each line")->type_name("FILE")->excludes(given);
    score->callback([this, given, data] {
      command = [=](Report& report) {
        require<ValueError>(given->count() + data->count() > 0, "score: --text TEXT or --data FILE is needed");
        if (data->count() > 0) {
          BadLines bad;
          score_language_model(model, read_texts({file}, bad), file, report);
        } else {
          score_language_model(model, text, "--text", report);
        }
        return done;
      };
    });
  }

  void add_demo() {
    static Demo o;
    CLI::App* demo = add(&app, "demo", "train a character model on this project's own sources for about a minute");
    demo->add_option("--root", o.root, "folder of the project")->type_name("DIR");
    add_number(demo, "seconds", o.seconds, "about how long to train", {1, 1e6});
    add_number(demo, "threads", o.threads, "threads", range::threads);
    demo->add_option("--out", o.out, "model file to write")->type_name("MODEL");
    static VanishingOptions v;
    CLI::App* vanishing = add(demo, "vanishing", "where the plain RNN loses the gradient and gated cells keep it");
    vanishing->add_option("--steps", v.steps, "lengths of the adding problem, one after the other")
        ->check(CLI::Range(2, 1000000));
    vanishing->add_option("--cells", v.cells, "cells to compare")->check(CLI::IsMember(cell_names()));
    vanishing->get_option("--steps")->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    vanishing->get_option("--cells")->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    add_number(vanishing, "hidden", v.hidden, "width of the layer", range::width);
    add_number(vanishing, "seconds", v.seconds, "about how long to train", {1, 1e6});
    add_number(vanishing, "seed", v.seed, "seed of weights and sequences");
    vanishing->add_option("--out", v.out, "picture to write")->type_name("SVG");
    demo->callback([this, vanishing] {
      command = [vanishing](Report& report) {
        const bool finished = vanishing->parsed() ? show_vanishing(v, report) : run_demo(o, report);
        return finished ? done : interrupted;
      };
    });
  }

  /// The exit code, and a sentence on standard error unless it is 0.
  int run(int argc, char** argv) {
    try {
      app.parse(argc, argv);
      Report report(json);
      return command(report);
    } catch (const CLI::ParseError& error) {
      if (const std::string wrong = wrong_usage(app); error.get_exit_code() != 0 && !wrong.empty()) {
        std::cerr << wrong << "\n";
        return wrong_input;
      }
      return app.exit(error, std::cout, std::cerr) == 0 ? done : wrong_input;
    } catch (const FileError& error) { return complain(error, wrong_input); } catch (const ValueError& error) {
      return complain(error, wrong_input);
    } catch (const IndexError& error) {
      return complain(error, wrong_input);
    } catch (const std::filesystem::filesystem_error& error) {
      return complain(error, wrong_input);
    } catch (const std::bad_alloc&) {
      std::cerr << "unroll: there is not enough memory\n";
      return failed;
    } catch (const std::exception& error) { return complain(error, failed); }
  }

  static int complain(const std::exception& error, int code) {
    std::cerr << "unroll: " << error.what() << "\n";
    return code;
  }
};

}  // namespace

int main(int argc, char** argv) {
  // Where a standard stream is closed, the next file that is opened would take its place.
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(stream, F_GETFD) == -1) open("/dev/null", stream == STDIN_FILENO ? O_RDONLY : O_WRONLY);
  const int code = Program().run(argc, argv);
  if (std::cout.flush().good() && std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  std::cerr << "unroll: standard output could not be written\n";
  return code == done ? failed : code;
}
