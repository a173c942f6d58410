#include <doctest/doctest.h>

#include <models/tasks/task_run.h>

using namespace unroll;

// The reader is tested in models/data/conll_test.cpp.

TEST_CASE("ner: what was made up is learnt, and what was saved is as good") {
  const TaskRun run("ner");
  run.task.synthesize(run.path("data"), 400, 1);
  run.task.synthesize(run.path("new"), 100, 2);
  run.set({{"epochs", 10},
           {"batch", 16},
           {"rate", 5e-3},
           {"words", 24},
           {"characters", 12},
           {"spelling", 12},
           {"hidden", 24}});
  const auto trained = run.train({.data = {run.path("data")}, .valid = {run.path("new")}});
  CHECK(trained.at("f1").get<double>() > 0.95);
  const auto again = run.evaluate({.data = {run.path("new")}});
  CHECK(again.at("split") == "eval");
  CHECK(again.at("examples") == 100);
  for (const char* name : {"f1", "precision", "recall"}) CHECK(again.at(name) == trained.at(name));

  CHECK(run.answer("Mrs Tadevi Kuro left in Lemasa with Dr Bodo .") ==
        "Mrs [PER Tadevi Kuro] left in [LOC Lemasa] with Dr [PER Bodo] .");
  CHECK(run.answer("  \t") == "");
  CHECK_THROWS_AS(run.answer("\xFF"), ValueError);
}

TEST_CASE("ner: types that were not there to be learnt count as missed, and no entity at all is no error") {
  const TaskRun run("ner");
  run.write("data", "a\tO\nb\tO\n\nc\tO\n\nd\tO\n");
  run.write("new", "a\tB-X\nZ\tI-X\n\nb\tO\n");
  run.set({{"epochs", 1}});
  const auto trained = run.train({.data = {run.path("data")}, .valid = {run.path("new")}});
  CHECK(trained.at("f1") == 0.0);
  CHECK(run.answer("a b") == "a b");
  run.write("bad", "a\tO\nb\n");
  CHECK_THROWS_WITH_AS(run.evaluate({.data = {run.path("bad")}}),
                       (run.path("bad") + ":2: a token and a tag are expected").c_str(), FileError);

  std::ifstream file(run.model(), std::ios::binary);
  const std::string model{std::istreambuf_iterator<char>(file), {}};
  const auto refuses = [&](const std::string& damaged) {
    run.write("model.safetensors", damaged);
    try {
      run.evaluate({.data = {run.path("new")}});
      FAIL("it was read");
    } catch (const FileError& error) { CHECK(std::string(error.what()).find(run.model()) != std::string::npos); }
  };
  for (const std::size_t size : {std::size_t{0}, std::size_t{40}, model.size() / 2, model.size() - 1})
    refuses(model.substr(0, size));
  for (const auto& [now, then] : {std::pair{"hidden\\\":128", "hidden\\\":129"},
                                  {"layers\\\":1,", "layers\\\":0,"},
                                  {"dropout\\\":0.5", "dropout\\\":9.5"},
                                  {"words\\\":1", "weeds\\\":1"},
                                  {"symbols", "cymbals"}}) {
    std::string damaged = model;
    CAPTURE(now);
    REQUIRE(damaged.find(now) != damaged.npos);
    refuses(damaged.replace(damaged.find(now), std::string(now).size(), then));
  }

  run.set({{"unknown", 1.5}});
  CHECK_THROWS_WITH_AS(run.train({.data = {run.path("data")}}), "train: --unknown 1.5 is not in 0 .. 1", ValueError);
  run.write("empty", "");
  CHECK_THROWS_AS(run.evaluate({.data = {run.path("empty")}}), FileError);
}
