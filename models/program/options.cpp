#include <unroll/models/program/options.h>

#include <unroll/models/any_layers.h>

namespace unroll {

void add_settings(CLI::App* command, const Settings& settings) {
  for (const Setting& s : settings)
    std::visit(
        [&]<class T>(T* value) {
          if constexpr (std::same_as<T, bool>) {
            command->add_flag(fmt::format("--{0},!--no-{0}", s.name), *value, s.help);
          } else if constexpr (std::same_as<T, std::string>) {
            CLI::Option* option = command->add_option("--" + s.name, *value, s.help);
            if (s.name == "cell") option->check(CLI::IsMember(cell_names()));
            if (s.name == "wrapper") option->check(CLI::IsMember(wrapper_names()));
            if (!s.names.empty()) option->check(CLI::IsMember(s.names));
            if (s.name == "log") option->type_name("DIR");
          } else {
            add_number(command, s.name, *value, s.help, s.range);
          }
        },
        s.value);
}

CLI::Option* add_files(CLI::App* command, const char* name, std::vector<std::string>& files, const char* help) {
  return command->add_option(name, files, help)
      ->type_name("FILE")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->default_str("");
}

}  // namespace unroll
