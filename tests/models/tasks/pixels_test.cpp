#include <doctest/doctest.h>

#include <models/tasks/task_run.h>

#include <unroll/models/data/idx.h>

using namespace unroll;

// The reader of files is tested in models/data/idx_test.cpp.

TEST_CASE("pixels: strokes are learnt row by row, and what was saved is as good") {
  const TaskRun run("pixels");
  run.task.synthesize(run.path("data"), 500, 1);
  run.task.synthesize(run.path("new"), 100, 2);
  run.set({{"epochs", 8}, {"hidden", 24}, {"batch", 32}, {"rate", 0.01}, {"cell", "gru"}, {"shift", 1}});
  const auto trained = run.train({.data = {run.path("data")}, .valid = {run.path("new")}});
  CHECK(trained.at("accuracy").get<double>() > 0.9);
  const auto again = run.evaluate({.data = {run.path("new"), run.path("new.labels")}});
  CHECK(again.at("examples") == 100);
  CHECK(again.at("accuracy") == trained.at("accuracy"));

  const std::string answer = run.answer(run.path("new"));
  const IdxArray labels = IdxArray::read(run.path("new.labels"));
  int right = 0;
  for (std::size_t i = 0; i < 100; ++i) right += answer.at(2 * i) - '0' == labels.values[i];
  CHECK(right == std::lround(100 * trained.at("accuracy").get<double>()));
}

TEST_CASE("pixels: each order of pixels trains in one direction, and a permuted image is another sequence") {
  for (const char* order : {"pixels", "permuted"}) {
    const TaskRun run("pixels");
    IdxArray images{{40, 3, 3}, {}}, labels{{40}, {}};
    for (int i = 0; i < 40; ++i) {
      for (int p = 0; p < 9; ++p) images.values.push_back(p % 3 == i % 3 ? 255 : 0);
      labels.values.push_back(static_cast<std::uint8_t>(i % 3));
    }
    images.write(run.path("data"));
    labels.write(run.path("labels"));
    run.set({{"order", order}, {"wrapper", "none"}, {"epochs", 40}, {"hidden", 16}, {"rate", 0.02}, {"shift", 0}});
    const std::vector<std::string> files{run.path("data"), run.path("labels")};
    const auto trained = run.train({.data = files, .valid = files});
    CHECK(trained.at("accuracy") == 1.0);
    CHECK(run.evaluate({.data = files}).at("accuracy") == 1.0);
  }
}

TEST_CASE("pixels: files that do not belong together are errors that name them") {
  const TaskRun run("pixels");
  IdxArray{{2, 2, 2}, std::vector<std::uint8_t>(8)}.write(run.path("images"));
  IdxArray{{3}, {0, 1, 1}}.write(run.path("three"));
  IdxArray{{2}, {0, 1}}.write(run.path("two"));
  const auto says = [&](const std::vector<std::string>& files, const std::string& what) {
    CHECK_THROWS_WITH_AS(run.train({.data = files, .valid = files}), what.c_str(), FileError);
  };
  says({run.path("images")}, run.path("images") + ": its labels are missing: --data IMAGES LABELS");
  says({run.path("images"), run.path("three")}, run.path("three") + ": byte 4: 3 labels for 2 images");
  says({run.path("images"), run.path("images")}, run.path("images") + ": byte 3: labels have one extent");
  says({run.path("two"), run.path("two")}, run.path("two") + ": byte 4: images have two extents above 0");

  run.set({{"epochs", 1}, {"order", "rows"}});
  const std::vector<std::string> good{run.path("images"), run.path("two")};
  run.train({.data = good, .valid = good});
  IdxArray{{1, 2, 3}, std::vector<std::uint8_t>(6)}.write(run.path("wide"));
  CHECK_THROWS_WITH_AS(run.answer(run.path("wide")),
                       (run.path("wide") + ": image 1: 2 x 3 pixels, where 2 x 2 are expected").c_str(), FileError);
  IdxArray{{2}, {0, 9}}.write(run.path("nine"));
  CHECK_THROWS_WITH_AS(run.evaluate({.data = {run.path("images"), run.path("nine")}}),
                       (run.path("images") + ": image 2: the label 9 is not among the 2 that were trained").c_str(),
                       FileError);
  run.set({{"order", "columns"}});
  CHECK_THROWS_AS(run.train({.data = good, .valid = good}), ValueError);
}
