#include <doctest/doctest.h>

#include <models/tasks/task_run.h>

#include <unroll/models/any_layers.h>
#include <unroll/models/tasks/synthetic_task.h>

using namespace unroll;

// What is drawn is tested in models/data/synthetic_test.cpp.

TEST_CASE("parity: sequences that were written are read as well as those that were drawn") {
  const TaskRun run("parity");
  run.set({{"steps", 8}, {"hidden", 16}, {"batch", 16}, {"updates", 2000}});
  const auto trained = run.train({});
  REQUIRE(trained.at("solved") == "yes");
  run.set_generator({{"steps", 8}});
  run.task.synthesize(run.path("new"), 300, 5);
  const auto found = run.evaluate({.data = {run.path("new")}});
  CHECK(found.at("examples") == 300);
  CHECK(found.at("share_right").get<double>() >= 0.98);
  CHECK(found.at("loss").get<double>() < 0.1);
  CHECK(run.answer("01101001") == "01001110");
  CHECK_THROWS_AS(run.answer("01x"), ValueError);

  run.write("bad", "0110\n2\n\n11\n");
  const std::string place = run.path("bad") + ":2: '2' is none of 01";
  CHECK_THROWS_WITH_AS(run.evaluate({.data = {run.path("bad")}}), place.c_str(), FileError);
  CHECK(run.evaluate({.data = {run.path("bad")}, .skip_bad = true}).at("examples") == 2);
  CHECK_THROWS_AS(run.train({.data = {run.path("new")}}), ValueError);
}

TEST_CASE("adding, sine, copy and both grammars: a model answers in its own words") {
  const auto trained = [](const TaskRun& run, const nlohmann::json& settings) {
    run.set({{"steps", 12}, {"hidden", 24}, {"cell", "gru"}, {"updates", 3000}, {"rate", 0.01}});
    run.set(settings);
    return run.train({}).at("solved") == "yes";
  };
  const TaskRun adding("adding");
  REQUIRE(trained(adding, {{"steps", 6}}));
  CHECK(std::stod(adding.answer("0.5* 0.9 0.1 0.25* 0.7 0.8")) == doctest::Approx(0.75).epsilon(0.2));

  const TaskRun sine("sine");
  REQUIRE(trained(sine, {{"steps", 60}}));
  std::string wave;
  for (int t = 0; t < 55; ++t) wave += fmt::format("{:.3f} ", std::sin(0.3 * t));
  CHECK(std::stod(sine.answer(wave)) == doctest::Approx(std::sin(0.3 * 55)).epsilon(0.3));

  const TaskRun reber("reber");
  REQUIRE(trained(reber, {{"updates", 600}}));
  const std::string next = reber.answer("BTXS");  // the end, and nothing else
  CHECK(next.starts_with("E "));
  const std::string after = reber.answer("BT");  // S or X, as often
  CHECK(after.size() == std::string("S 0.50, X 0.50").size());
  CHECK(after.find('S') != after.npos);
  CHECK(after.find('X') != after.npos);
  reber.write("beginning", "BTX\n");
  CHECK_THROWS_AS(reber.evaluate({.data = {reber.path("beginning")}}), FileError);

  const TaskRun copy("copy");
  trained(copy, {{"updates", 3}});
  CHECK(copy.answer("0123456701..>").size() == 10);
}

TEST_CASE("synthetic tasks: each wrapper is trained, saved and read again") {
  for (const std::string& wrapper : wrapper_names()) {
    CAPTURE(wrapper);
    const TaskRun run("parity");
    SyntheticTrainer trainer({.task = "parity", .steps = 5, .hidden = 8, .layers = 2, .wrapper = wrapper});
    for (int i = 0; i < 3; ++i) trainer.update();
    trainer.save(run.model());
    const TrainedSynthetic again = TrainedSynthetic::open(run.model());
    Rng rng{1};
    const Examples e = again.task.draw(rng, 50);
    const auto loss = [&](const SyntheticModel& model) { return score_of(model, again.task, std::span(&e, 1)).loss; };
    CHECK(loss(again.model) == loss(trainer.model()));
    CHECK(loss(again.model) !=
          loss(SyntheticTrainer({.task = "parity", .steps = 5, .hidden = 8, .layers = 2, .wrapper = wrapper, .seed = 2})
                   .model()));
  }
  const TaskRun run("parity");
  run.set({{"wrapper", "cling-film"}});
  CHECK_THROWS_WITH_AS(run.train({}), doctest::Contains("wrapper: cling-film is none of none, bidirectional, "),
                       ValueError);
}
