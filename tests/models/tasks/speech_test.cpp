#include <doctest/doctest.h>

#include <unroll/models/data/audio.h>

#include <models/tasks/task_run.h>

using namespace unroll;

// The reader is tested in models/data/recordings_test.cpp.

namespace {

const nlohmann::json small = {{"digits", 3},  {"joins", 2},  {"epochs", 20},   {"batch", 8},  {"rate", 0.01},
                              {"hidden", 32}, {"layers", 1}, {"dropout", 0.1}, {"warp", 0.03}};

}  // namespace

TEST_CASE("speech: strings of what was made up are learnt, and what was saved is as good") {
  const TaskRun run("speech");
  run.task.synthesize(run.path("data"), 120, 1);
  run.task.synthesize(run.path("new"), 60, 2);
  run.set(small);
  const auto trained = run.train({.data = {run.path("data")}, .valid = {run.path("new")}});
  CHECK(trained.at("digit_error_rate").get<double>() < 0.1);
  CHECK(trained.at("string_accuracy").get<double>() > 0.7);
  CHECK(trained.at("single_digit_accuracy").get<double>() > 0.9);
  CHECK(trained.at("examples").get<int>() > 60);
  const auto again = run.evaluate({.data = {run.path("new")}});
  for (const char* name : {"digit_error_rate", "string_accuracy", "single_digit_accuracy", "examples"})
    CHECK(again.at(name) == trained.at(name));

  int right = 0;
  for (const char* digit : {"2", "4", "8"})
    right += run.answer(run.path("data/") + digit + "_ann_0.wav") == digit ? 1 : 0;
  CHECK(right >= 2);
  const std::string all = run.answer(run.path("new"));
  CHECK(std::count(all.begin(), all.end(), '\n') == 59);
  CHECK(all.starts_with(run.path("new/0_ann_0.wav") + " "));
}

TEST_CASE("speech: a speaker can be held out, and single digits trained on alone") {
  const TaskRun run("speech");
  run.task.synthesize(run.path("data"), 40, 1);
  run.set(small);
  run.set({{"epochs", 1}, {"digits", 1}, {"speaker", "bob"}});
  const auto trained = run.train({.data = {run.path("data")}});
  CHECK(trained.at("examples") == 20);
  CHECK(!trained.contains("string_accuracy"));
  run.set({{"speaker", "carl"}});
  CHECK_THROWS_WITH_AS(run.train({.data = {run.path("data")}}), "train: there is no speaker carl", ValueError);
  for (const nlohmann::json& wrong : std::vector<nlohmann::json>{{{"digits", 0}}, {{"joins", -1}}, {{"warp", 2.0}}}) {
    run.set(small);
    run.set(wrong);
    CHECK_THROWS_AS(run.train({.data = {run.path("data")}}), ValueError);
  }
}

TEST_CASE("speech: what cannot be heard is an error") {
  const TaskRun run("speech");
  run.task.synthesize(run.path("data"), 20, 1);
  run.set(small);
  run.set({{"epochs", 1}});
  run.train({.data = {run.path("data")}, .valid = {run.path("data")}});
  write_wav(run.path("x_ann_0.wav"), {std::vector<float>(2000, 0.1F), 8000});
  CHECK_THROWS_WITH_AS(
      run.evaluate({.data = {run.path("x_ann_0.wav")}}),
      (run.path("x_ann_0.wav") + ": symbols: 'x' is not among the 10 known: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9").c_str(),
      FileError);
  run.write("rubbish.wav", std::string(100, '\x01'));
  CHECK_THROWS_AS(run.answer(run.path("rubbish.wav")), FileError);
  CHECK_THROWS_AS(run.answer(run.path("none.wav")), FileError);
  write_wav(run.path("low.wav"), {std::vector<float>(500, 0.1F), 4000});
  CHECK_THROWS_AS(run.answer(run.path("low.wav")), FileError);
  write_wav(run.path("click.wav"), {{0.1F}, 8000});
  CHECK_NOTHROW(run.answer(run.path("click.wav")));
  std::filesystem::create_directories(run.path("empty"));
  CHECK_THROWS_AS(run.answer(run.path("empty")), FileError);
  CHECK_THROWS_AS(run.train({.data = {run.path("empty")}}), FileError);
}
