#include <doctest/doctest.h>

#include <models/tasks/task_run.h>

#include <unroll/models/tasks/video_data.h>

using namespace unroll;

namespace {

std::string line(const std::string& beginning) {
  std::string text = beginning;
  for (Index k = 0; k < Clip::coordinates; ++k) text += ",0.5";
  return text + "\n";
}

const std::string header = "seq,label,frame,x0,y0\n";

}  // namespace

TEST_CASE("video: what was made up is learnt, and what was saved is as good") {
  const TaskRun run("video");
  run.task.synthesize(run.path("data"), 90, 1);
  run.task.synthesize(run.path("new"), 30, 2);
  run.set({{"epochs", 10}, {"hidden", 12}, {"layers", 1}, {"rate", 0.01}});
  const auto trained = run.train({.data = {run.path("data")}, .valid = {run.path("new")}});
  CHECK(trained.at("accuracy").get<double>() > 0.9);
  CHECK(run.evaluate({.data = {run.path("new")}}).at("accuracy") == trained.at("accuracy"));
  const std::string said = run.answer(run.path("new"));
  CHECK(said.starts_with("0 "));
  CHECK(std::count(said.begin(), said.end(), '\n') == 29);

  run.write("other", header + line("0,wave,0") + line("1,jump,0"));
  CHECK_THROWS_WITH_AS(run.evaluate({.data = {run.path("other")}}),
                       (run.path("other") + ":3: symbols: 'jump' is not among the 3 known: stand, walk, wave").c_str(),
                       FileError);
}

TEST_CASE("video: what is no frame of its clip is named by its line, or left out") {
  const TaskRun run("video");
  const auto says = [&](const std::string& text, const std::string& what) {
    run.write("data", text);
    BadLines bad;
    CHECK_THROWS_WITH_AS(read_clips({run.path("data")}, bad), (run.path("data") + what).c_str(), FileError);
  };
  says(line("0,wave,0") + line("0,wave,1"), ":1: the first line should be the header, with the names of the columns");
  const std::string expected = ":2: clip, label, the number of the frame and 30 coordinates are expected";
  says(header + "0,wave,0,1\n", expected);
  says(header + line("0,wave,first"), expected);
  says(header + line("0,wave,1") + line("1,walk,1") + line("0,wave,1"), ":4: clip 0 has had frame 1 before");
  says(header + line("0,wave,0") + line("0,walk,1"),
       ":3: clip 0 is of 'walk' here, and of 'wave' in " + run.path("data") + ":2");
  BadLines skipped(true);
  REQUIRE(read_clips({run.path("data")}, skipped).size() == 1);
  CHECK(skipped.count() == 1);
  run.write("data", "");
  CHECK(read_clips({run.path("data")}, skipped).empty());
  run.write("one", header + line("0,wave,0") + line("0,wave,1") + line("1,walk,0"));
  run.write("two", header + line("1,wave,0"));
  const auto clips = read_clips({run.path("one"), run.path("two")}, skipped);
  REQUIRE(clips.size() == 3);
  CHECK(clips[0].length() == 2);
  CHECK(clips[2].place == run.path("two") + ":2");
}

TEST_CASE("video: frames are gathered by clip, in the order of their numbers") {
  const TaskRun run("video");
  const auto frame = [](const std::string& beginning, const std::string& at) {
    std::string text = beginning;
    for (Index k = 0; k < Clip::coordinates; ++k) text += "," + at;
    return text + "\n";
  };
  run.write("data", header + frame("0,wave,10", "3") + frame("1,walk,0", "9") + frame("0,wave,2", "1"));
  BadLines bad;
  const auto clips = read_clips({run.path("data")}, bad);
  REQUIRE(clips.size() == 2);
  REQUIRE(clips[0].length() == 2);
  CHECK(clips[0].poses.front() == 1);
  CHECK(clips[0].poses.back() == 3);
  CHECK(clips[1].length() == 1);
}

TEST_CASE("video: a label that only one clip has is trained on, whichever is held out") {
  const TaskRun run("video");
  run.write("data", header + line("0,wave,0") + line("1,wave,0") + line("2,walk,0") + line("3,walk,0") +
                        line("4,jump,0") + line("5,wave,0"));
  run.set({{"epochs", 1}, {"hidden", 4}, {"layers", 1}});
  CHECK(run.train({.data = {run.path("data")}, .folds = 3}).at("split") == "mean of 3 folds");
  run.write("valid", header + line("0,sit,0"));
  CHECK_THROWS_WITH_AS(run.train({.data = {run.path("data")}, .valid = {run.path("valid")}}),
                       (run.path("valid") + ":2: symbols: 'sit' is not among the 3 known: jump, walk, wave").c_str(),
                       FileError);
}
