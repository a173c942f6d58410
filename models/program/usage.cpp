#include <unroll/models/program/usage.h>

#include <fmt/ranges.h>

#include <unroll/models/metrics/transcripts.h>

namespace unroll {
namespace {

using Words = std::vector<std::string>;

Words letters_of(const std::string& word) {
  Words letters;
  for (const char c : word) letters.emplace_back(1, c);
  return letters;
}

/// " (is X meant?)", of the word that is begun or is at most two letters away; else nothing.
std::string suggestion(const std::string& word, const Words& known, const std::string& dashes = "") {
  std::string best;
  std::int64_t least = 3;
  for (const std::string& other : known) {
    EditCounts edits;
    edits.add(align(letters_of(word), letters_of(other)));
    const std::int64_t away = !word.empty() && other.starts_with(word) ? 1 : edits.errors();
    if (away >= least || away >= static_cast<std::int64_t>(other.size())) continue;
    least = away;
    best = other;
  }
  return best.empty() ? "" : fmt::format(" (is {}{} meant?)", dashes, best);
}

Words commands_of(const CLI::App& app) {
  Words names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

std::string unknown_word(const CLI::App& app, const std::string& word) {
  if (word.size() > 1 && word[0] == '-') {
    Words names;
    for (const CLI::Option* option : app.get_options())
      for (const std::string& name : option->get_lnames()) names.push_back(name);
    const std::string option = word.substr(0, word.find('='));
    return fmt::format("there is no option {}{}", option,
                       suggestion(option.substr(std::min(option.find_first_not_of('-'), option.size())), names, "--"));
  }
  const Words commands = commands_of(app);
  if (commands.empty()) return fmt::format("'{}' is one word too many", word);
  return fmt::format("there is no '{}'{}; there is {}", word, suggestion(word, commands), fmt::join(commands, ", "));
}

}  // namespace

std::string wrong_usage(const CLI::App& program) {
  const CLI::App* app = &program;
  for (std::string path = program.get_name();; path += " " + app->get_name()) {
    if (const Words unknown = app->remaining(); !unknown.empty())
      return path + ": " + unknown_word(*app, unknown.front());
    const std::vector<CLI::App*> given = app->get_subcommands();
    if (given.empty())
      return app->get_require_subcommand_min() == 0
                 ? ""
                 : fmt::format("{}: one of these is needed: {}", path, fmt::join(commands_of(*app), ", "));
    app = given.front();
  }
}

}  // namespace unroll
