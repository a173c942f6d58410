#include <doctest/doctest.h>

#include <models/tasks/task_run.h>

using namespace unroll;

TEST_CASE("vowels: what was made up is learnt, and what was saved is as good") {
  const TaskRun run("vowels");
  run.task.synthesize(run.path("data"), 90, 1);
  run.task.synthesize(run.path("new"), 40, 2);
  run.set({{"epochs", 10}, {"hidden", 16}});
  const auto trained = run.train({.data = {run.path("data")}, .valid = {run.path("new")}});
  CHECK(trained.at("accuracy").get<double>() > 0.9);
  const auto again = run.evaluate({.data = {run.path("new")}});
  CHECK(again.at("examples") == 40);
  for (const char* name : {"accuracy", "macro_f1", "nats"}) CHECK(again.at(name) == trained.at(name));
  const std::string said = run.answer(run.path("new"));
  CHECK(std::count(said.begin(), said.end(), '\n') == 39);
  CHECK(std::count(said.begin(), said.begin() + 2 * 13, '1') >= 11);
}

TEST_CASE("vowels: speakers are blocks of a given size, or those of a file beside the data") {
  const std::string line = "1 2 3 4 5 6 7 8 9 10 11 12 \n", bad = "1 2 x 4 5 6 7 8 9 10 11 12\n";
  const std::string ones = "1.0 1.00 1 1 1 1 1 1 1 1 1 1\n";
  const TaskRun run("vowels");
  run.set({{"epochs", 1}, {"block", 2}});
  const auto train = [&](bool skip = false) {
    const std::string data = run.path("data");
    return run.train({.data = {data}, .valid = {data}, .skip_bad = skip}).at("examples").get<int>();
  };
  run.write("data", line + line + "\n" + line + " \n\n" + line + ones + line);
  CHECK(train() == 4);
  run.write("data", line + "\n" + line + "\n" + line);
  CHECK_THROWS_WITH_AS(
      train(),
      (run.path("data") + ": 3 utterances are no blocks of 2, and there is no file " + run.path("size_data")).c_str(),
      FileError);
  run.set({{"blocks", "1,2"}});
  CHECK(train() == 3);
  run.set({{"blocks", "1,3"}});
  CHECK_THROWS_WITH_AS(train(),
                       (run.path("data") + ": 3 utterances are no blocks of 2 nor the 4 of --blocks, and there is no " +
                        "file " + run.path("size_data"))
                           .c_str(),
                       FileError);
  run.set({{"blocks", "1,two"}});
  CHECK_THROWS_WITH_AS(train(), "vowels: --blocks 1,two: counts of utterances are expected, such as 31,35,88",
                       ValueError);
  run.set({{"blocks", ""}});
  run.write("size_data", "1 2 ");
  CHECK(train() == 3);
  run.write("size_data", "1 1");
  CHECK_THROWS_AS(train(), FileError);
  run.write("size_data", "1 two");
  CHECK_THROWS_WITH_AS(train(), (run.path("size_data") + ":1: the utterances of each speaker are expected").c_str(),
                       FileError);
  run.write("size_data", "1 2");
  run.write("data", line + "\n" + bad + "\n" + line + bad);
  CHECK_THROWS_WITH_AS(train(), (run.path("data") + ":3: 12 numbers are expected").c_str(), FileError);
  CHECK(train(true) == 2);
  run.write("new", line + "\n" + line + "\n" + line);
  run.write("size_new", "1 1 1");
  CHECK_THROWS_WITH_AS(run.evaluate({.data = {run.path("new")}}),
                       (run.path("new") + ":5: symbols: '3' is not among the 2 known: 1, 2").c_str(), FileError);
  run.write("data", "");
  CHECK_THROWS_AS(train(), FileError);
}
