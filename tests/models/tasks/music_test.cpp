#include <doctest/doctest.h>

#include <models/tasks/task_run.h>
#include <algorithm>
#include <cmath>

using namespace unroll;

namespace {

TaskData given(const std::string& file, const std::vector<std::string>& valid = {}) {
  TaskData data;
  data.data = {file};
  data.valid = valid;
  return data;
}

}  // namespace

TEST_CASE("music: what was made up is learnt, what was saved is as good, and it writes pieces") {
  const TaskRun run("music");
  run.task.synthesize(run.path("data"), 300, 1);
  run.task.synthesize(run.path("new"), 60, 2);
  run.set({{"epochs", 12},
           {"batch", 16},
           {"hidden", 64},
           {"dropout", 0.1},
           {"zoneout", 0.0},
           {"transpose", 2},
           {"rate", 1e-2}});
  const auto trained = run.train(given(run.path("data"), {run.path("new")}));
  // The first chord is one of 48, log 48 = 3.87; those after it are certain.
  CHECK(trained.at("nll").get<double>() < 1.5);
  CHECK(trained.at("accuracy").get<double>() > 0.9);
  CHECK(trained.at("nll_all") > trained.at("nll"));
  const auto again = run.evaluate(given(run.path("new")));
  CHECK(again.at("examples") == 60);
  for (const char* name : {"nll", "nll_all", "accuracy"}) CHECK(again.at(name) == trained.at(name));

  const std::string prime = "48,64,67,72 45,60,64,72";
  CHECK(run.answer(prime + " steps=2 temperature=0.01", run.path("out")) == prime + " 41,60,65,69 43,59,67,71");
  std::ifstream midi(run.path("out"), std::ios::binary);
  CHECK(std::string(std::istreambuf_iterator<char>(midi), {}).substr(0, 4) == "MThd");
  CHECK(run.answer("7") == run.answer("seed=7 steps=64"));
  CHECK(run.answer("7") != run.answer("8"));
  CHECK_THROWS_AS(run.answer("60,64 20"), ValueError);
  CHECK_THROWS_AS(run.answer("sed=3"), ValueError);
  CHECK_THROWS_AS(run.answer("seed=-3"), ValueError);
  CHECK_THROWS_AS(run.answer("temperature=0"), ValueError);
  CHECK_THROWS_AS(run.answer("tempo=0", run.path("out")), ValueError);
  CHECK_THROWS_AS(run.answer("steps=1e9"), ValueError);
}

TEST_CASE("music: without having learnt anything a note is as likely as it was often") {
  const TaskRun run("music");
  run.write("data", "60,62 60 60 -\n60 60 60 62\n");
  run.set({{"epochs", 1}, {"rate", 1e-9}, {"hidden", 1}, {"dropout", 0.0}, {"zoneout", 0.0}, {"transpose", 0}});
  run.train(given(run.path("data"), {run.path("data")}));
  // Of 8 steps and one that is not known; the weights of the one unit move a logit by some tenths.
  const auto nats = [](double share, double there) {
    return -there * std::log(share) - (1 - there) * std::log(1 - share);
  };
  const double expected = nats(6.5 / 9, 6 / 8.) + nats(2.5 / 9, 2 / 8.) + 86 * nats(0.5 / 9, 0);
  const double nll = run.evaluate(given(run.path("data"))).at("nll_all").get<double>();
  CHECK(nll == doctest::Approx(expected).epsilon(0.1));
}

TEST_CASE("music: lines that are no piece are named, or left out and counted") {
  const TaskRun run("music");
  const std::string good = "21,108 - 60,60 -\n60,64,67 72\n";
  run.write("good", good);
  run.set({{"epochs", 1}, {"hidden", 4}});
  run.train(given(run.path("good"), {run.path("good")}));
  for (const char* bad :
       {"60 20", "60 109", "60 60,", "60 x", "60  60", "60;61 60", "60", "", "60 6\x01\xff", "60.5 60"}) {
    CAPTURE(bad);
    run.write("bad", good + bad + "\n60 -\n");
    try {
      run.evaluate(given(run.path("bad")));
      FAIL("it was read");
    } catch (const FileError& error) {
      const std::string said = error.what();
      CHECK(said.starts_with(run.path("bad") + ":3: "));
      CHECK(std::all_of(said.begin(), said.end(), [](char c) { return c >= ' ' && c <= '~'; }));
    }
    TaskData skipping = given(run.path("bad"));
    skipping.skip_bad = true;
    CHECK(run.evaluate(skipping).at("examples") == 3);
  }
  for (const char* option : {"layers", "hidden", "transpose"}) {
    const TaskRun other("music");
    other.set({{option, -1}});
    CHECK_THROWS_AS(other.train(given(run.path("good"), {run.path("good")})), ValueError);
  }
  run.write("empty", "");
  CHECK_THROWS_AS(run.evaluate(given(run.path("empty"))), FileError);
}
