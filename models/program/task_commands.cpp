#include <unroll/models/program/task_commands.h>

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>

#include <unroll/models/data/utf8.h>
#include <unroll/models/output_file.h>
#include <unroll/models/program/options.h>
#include <unroll/models/tasks/tasks.h>
#include <unroll/models/training_log.h>

namespace unroll {
namespace {

constexpr int done = 0, wrong_input = 2, interrupted = 130;

/// The options of a command, which live as long as the program.
struct Given {
  TaskData data;
  std::string model, out, svg;
  std::vector<std::string> inputs;
  Index count = 200, seed = 1;
  double held_out = 0.1;
};
Given& given() {
  static std::vector<std::unique_ptr<Given>> all;
  return *all.emplace_back(std::make_unique<Given>());
}

void add_training(CLI::App* command, Task& task, const std::function<void(std::function<int(Report&)>)>& set) {
  Given& g = given();
  command->footer("Data: " + task.format() + ". Compressed files (.gz) are read as they are.\n");
  add_files(command, "--data", g.data.data, "what to train on");
  add_files(command, "--valid", g.data.valid, "what to validate on; without it a share of the data is held out");
  add_files(command, "--test", g.data.test, "what to try the best model on");
  add_number(command, "held-out", g.held_out,
             "the share of the data to validate on; where it is not given, what such data are parted by as a rule",
             {0.001, 0.5})
      ->default_str("");
  add_number(command, "folds", g.data.folds,
             "cross-validation in so many parts, 2 or more, without a model file, through all epochs; 0: none",
             {0, 1000});
  command->add_flag("--skip-bad", g.data.skip_bad, "leave malformed lines out, and count them");
  command->add_option("--out", g.out, "model file to write")->type_name("MODEL");
  add_settings(command, task.settings());
  command->callback([&g, &task, set, command] {
    set([&, command](Report& report) {
      require<ValueError>(!g.data.data.empty(), "train: --data FILE is needed (unroll synthesize {} makes some up)",
                          task.name());
      require<ValueError>(g.data.folds != 1, "train: --folds 1 leaves nothing to train on: 2 or more, or 0 for none");
      for (const char* name : {"--valid", "--test", "--held-out", "--out"})
        require<ValueError>(g.data.folds == 0 || command->count(name) == 0,
                            "train: {} has no use with --folds, where each part of --data is validated on in turn, and "
                            "no model is kept",
                            name);
      if (command->count("--held-out") > 0) g.data.held_out = g.held_out;
      require<ValueError>(!g.data.held_out || g.data.valid.empty(), "train: --held-out has no use with --valid");
      for (const auto* files : {&g.data.data, &g.data.valid, &g.data.test})
        check_model_output("train", g.out, task.files_read(*files));
      if (g.out.empty() && g.data.folds == 0) report.say("without --out MODEL the model is not kept");
      return task.train(g.data, g.out, report) ? done : interrupted;
    });
  });
}

/// Answers inputs one after the other. One that cannot be answered does not keep the next ones from it.
class Answering {
 public:
  Answering(const Answers& answers, const char* source, Report& report)
      : answers_(answers), source_(source), report_(report) {}

  void answer(const std::string& input) {
    ++number_;
    try {
      require<ValueError>(input.find('\0') == input.npos, "there is a NUL character in it");
      const std::string said = answers_(input);
      report_.answer(said, {{"input", input}, {"answer", said}});
    } catch (const Error& error) {
      report_.warn(fmt::format("unroll: {}{}: {}", source_, number_, error.what()));
      code_ = wrong_input;
    }
  }
  /// Answers an empty line by an empty one.
  void pass_over() {
    ++number_;
    report_.answer("", {{"input", std::string()}, {"answer", std::string()}});
  }
  int code() const { return code_; }

 private:
  const Answers& answers_;
  const char* source_;
  Report& report_;
  Index number_ = 0;
  int code_ = done;
};

/// The lines of standard input, to be answered as they come.
template <class F>
void for_each_line(F f) {
  struct stat status {};
  require<FileError>(fstat(STDIN_FILENO, &status) == 0 && !S_ISDIR(status.st_mode),
                     "run: standard input is nothing that can be read");
  bool first = true;
  for (std::string line; std::getline(std::cin, line); first = false) {
    if (line.ends_with('\r')) line.pop_back();
    f(first ? std::string(without_byte_order_mark(line)) : line);
  }
}

}  // namespace

void add_task_commands(CLI::App& program, CLI::App& train,
                       const std::function<CLI::App*(CLI::App*, const char*, const std::string&)>& add,
                       const std::function<void(std::function<int(Report&)>)>& set) {
  // Some have a command of their own already.
  for (const auto& task : tasks())
    if (train.get_subcommands([&](CLI::App* c) { return c->get_name() == task->name(); }).empty())
      add_training(add(&train, task->name().c_str(), task->what()), *task, set);

  Given& e = given();
  CLI::App* eval = add(&program, "eval", "how good a model is on data that it has not seen");
  eval->add_option("model", e.model, "model file")->required()->type_name("MODEL");
  add_files(eval, "--data", e.data.data, "data of the format that it was trained on");
  eval->get_option("--data")->required();
  eval->add_flag("--skip-bad", e.data.skip_bad, "leave malformed lines out, and count them");
  eval->callback([&e, set] {
    set([&](Report& report) {
      task_of(e.model).evaluate(e.model, e.data, report);
      return done;
    });
  });

  Given& r = given();
  CLI::App* run =
      add(&program, "run", "what a model says to inputs, or else to each line of standard input as it comes");
  run->add_option("model", r.model, "model file")->required()->type_name("MODEL");
  run->add_option("input", r.inputs, "inputs; of tasks that read files, their names; after -- they may begin with -")
      ->type_name("INPUT")
      ->default_str("");
  run->add_option("--out", r.out, "file to write, for tasks whose answer is one")->type_name("FILE");
  run->callback([&r, set] {
    set([&](Report& report) {
      check_output("run", r.out, std::array{r.model});
      const Answers answers = task_of(r.model).answers_of(r.model, r.out);
      const bool lines = r.inputs.empty();
      Answering answering(answers, lines ? "standard input:" : "input ", report);
      if (lines && r.out.empty()) {
        for_each_line([&](const std::string& line) { line.empty() ? answering.pass_over() : answering.answer(line); });
        return answering.code();
      }
      if (lines) for_each_line([&](const std::string& line) { r.inputs.push_back(line); });
      require<ValueError>(r.out.empty() || r.inputs.size() == 1,
                          "run: --out is a file for one answer, and there are {} inputs", r.inputs.size());
      for (const std::string& input : r.inputs) answering.answer(input);
      return answering.code();
    });
  });

  CLI::App* synthesize = program.add_subcommand("synthesize", "make up data of a task's format");
  synthesize->require_subcommand(1);
  for (const auto& task : tasks()) {
    Given& s = given();
    CLI::App* one = add(synthesize, task->name().c_str(), task->format());
    one->add_option("--out", s.out, "file to write")->required()->type_name("FILE");
    add_number(one, "count", s.count, "examples", {1, 1 << 24});
    add_number(one, "seed", s.seed, "seed of what is drawn");
    add_settings(one, task->generator_settings());
    one->callback([&s, task = task.get(), set] {
      set([&s, task](Report& report) {
        task->synthesize(s.out, s.count, static_cast<std::uint64_t>(s.seed));
        report.say("wrote " + s.out);
        return done;
      });
    });
  }

  Given& p = given();
  CLI::App* plot = add(&program, "plot", "draw the curves of a training, with gnuplot");
  plot->add_option("folder", p.model, "folder that --log wrote; with --folds, one of those in it, such as DIR/fold-1")
      ->required()
      ->type_name("DIR");
  plot->add_option("--out", p.svg, "picture to write; without it curves.svg in the folder")->type_name("SVG");
  plot->callback([&p, set] {
    set([&](Report& report) {
      report.say("wrote " + plot_training(p.model, p.svg));
      return done;
    });
  });
}

}  // namespace unroll
