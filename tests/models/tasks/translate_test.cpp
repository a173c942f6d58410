#include <doctest/doctest.h>

#include <models/tasks/task_run.h>

using namespace unroll;

// The reader is tested in models/data/parallel_text_test.cpp.

TEST_CASE("translate: what was made up is learnt, what was saved is as good, and unknown names are copied") {
  const TaskRun run("translate");
  run.task.synthesize(run.path("data"), 2000, 1);
  run.task.synthesize(run.path("new"), 100, 2);
  run.set({{"epochs", 8},
           {"batch", 32},
           {"merges", 0},
           {"embedding", 48},
           {"hidden", 48},
           {"dropout", 0.1},
           {"rate", 1e-2}});
  const auto trained = run.train({.data = {run.path("data")}, .valid = {run.path("new")}});
  CHECK(trained.at("bleu").get<double>() > 80);
  const auto again = run.evaluate({.data = {run.path("new")}});
  CHECK(again.at("examples") == 100);
  for (const char* name : {"bleu", "bleu_any", "chrf"}) CHECK(again.at(name) == trained.at(name));

  CHECK(run.answer("men Kubilux pen, ren gen.") == "dope Kubilux time, pige fore.");
  CHECK_NOTHROW(run.answer(""));
  CHECK_THROWS_AS(run.answer("\xFF"), ValueError);
}

TEST_CASE("translate: translations of one sentence stay together, and count one by one and all together") {
  const TaskRun run("translate");
  std::string text;
  for (int i = 0; i < 40; ++i) text += fmt::format("word{0}\tOne{0}\nword{0}\tTwo{0}\n", i);
  run.write("data", text);
  run.set({{"epochs", 1}, {"embedding", 4}, {"hidden", 4}, {"merges", 30}, {"lower", true}});
  const auto trained = run.train({.data = {run.path("data")}});
  CHECK(trained.at("examples") == 8);  // a tenth of 40 sentences, two pairs each
  CHECK(run.answer("WORD7") == run.answer("word7"));
}
