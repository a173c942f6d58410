#include <doctest/doctest.h>

#include <models/tasks/task_run.h>

#include <unroll/models/tasks/language_task.h>

using namespace unroll;

namespace {

const nlohmann::json small{{"optimizer", "adam"}, {"schedule", "cosine"}, {"init", 0.0},
                           {"tied", true},        {"locked", true},       {"dropout-recurrent", 0.2},
                           {"hidden", 24},        {"embed", 24},          {"layers", 1},
                           {"steps", 16},         {"batch", 8},           {"epochs", 6},
                           {"rate", 0.01},        {"dropout", 0.1},       {"dropout-input", 0.1},
                           {"clip", 1.0}};

double nats(const nlohmann::json& metrics) { return metrics.at("nats_per_token"); }

}  // namespace

TEST_CASE("word-lm: made-up sentences are learnt, with each way of training") {
  const TaskRun run("word-lm");
  run.task.synthesize(run.path("data"), 600, 1);
  run.task.synthesize(run.path("new"), 200, 2);
  const TaskData data{.data = {run.path("data")}, .valid = {run.path("new")}};
  for (const nlohmann::json& way :
       {nlohmann::json{{"tied", false}, {"locked", false}, {"dropout-recurrent", 0.0}},
        nlohmann::json{{"tied", true}, {"locked", true}, {"dropout-recurrent", 0.2}},
        nlohmann::json{{"optimizer", "sgd"}, {"schedule", "steps"}, {"rate", 5.0}, {"hold", 4}, {"init", 0.1}}}) {
    CAPTURE(way.dump());
    run.set(small);
    run.set(way);
    const auto trained = run.train(data);
    // Less than for any subject, verb and object in their order: 5 * 5 * 5 sentences of 7 words.
    CHECK(nats(trained) < std::log(125.0) / 7);
    CHECK(trained.at("perplexity").get<double>() == doctest::Approx(std::exp(nats(trained))));
    CHECK(nats(run.evaluate({.data = {run.path("new")}})) == doctest::Approx(nats(trained)).epsilon(0.01));
  }
  CHECK(run.answer("the old").starts_with("the old "));
}

TEST_CASE("word-lm: dropout ends with training, also that of weights and with one mask for all steps") {
  const TaskRun run("word-lm");
  run.task.synthesize(run.path("data"), 100, 1);
  run.set(small);
  run.set({{"dropout-recurrent", 0.5}, {"locked", true}, {"epochs", 1}});
  run.train({.data = {run.path("data")}, .valid = {run.path("data")}});
  const auto once = run.evaluate({.data = {run.path("data")}});
  CHECK(run.evaluate({.data = {run.path("data")}}) == once);
  const auto both = run.evaluate({.data = {run.path("data"), run.path("data")}});
  CHECK(nats(both) == doctest::Approx(nats(once)));
  CHECK(both.at("tokens") == 2 * once.at("tokens").get<int>());
}

TEST_CASE("word-lm: an epoch's rate falls in steps after those that are held") {
  const TaskRun run("word-lm");
  run.task.synthesize(run.path("data"), 60, 1);
  const TaskData data{.data = {run.path("data")}, .valid = {run.path("data")}};
  run.set(small);
  run.set({{"optimizer", "sgd"}, {"schedule", "steps"}, {"rate", 1.0}, {"hold", 2}, {"epochs", 2}});
  const double two = nats(run.train(data));
  run.set({{"factor", 1e-9}, {"epochs", 4}});  // two more epochs that change next to nothing
  CHECK(nats(run.train(data)) == doctest::Approx(two).epsilon(1e-4));
  run.set({{"factor", 1.0}});
  CHECK(nats(run.train(data)) < two - 0.01);
}

TEST_CASE("word-lm: the best epoch is kept, and patience ends a training that only learns by heart") {
  const TaskRun run("word-lm");
  run.task.synthesize(run.path("data"), 12, 1);
  run.task.synthesize(run.path("new"), 200, 2);
  const TaskData data{.data = {run.path("data")}, .valid = {run.path("new")}};
  run.set(small);
  run.set({{"schedule", "steps"}, {"hold", 100}, {"rate", 0.05}, {"dropout", 0.0}, {"epochs", 30}});
  run.set({{"dropout-input", 0.0}, {"dropout-recurrent", 0.0}});
  const double many = nats(run.train(data));
  run.set({{"epochs", 60}});
  CHECK(nats(run.train(data)) == many);
  CHECK(nats(run.evaluate({.data = {run.path("new")}})) == doctest::Approx(many).epsilon(0.01));
  run.set({{"patience", 3}});
  CHECK(nats(run.train(data)) >= many);
  run.set({{"patience", 0}, {"epochs", 1}});
  CHECK(nats(run.train(data)) > many);
}

TEST_CASE("char-lm: eval says what training said, and options outside their domain are errors") {
  const TaskRun run("char-lm");
  run.task.synthesize(run.path("data"), 200, 1);
  run.set(small);
  const auto trained = run.train({.data = {run.path("data")}, .valid = {run.path("data")}, .test = {run.path("data")}});
  CHECK(nats(trained) < 1.5);  // of 24 characters: ln 24 = 3.2
  const auto again = run.evaluate({.data = {run.path("data")}});
  CHECK(nats(again) == doctest::Approx(nats(trained)).epsilon(0.01));
  CHECK(again.at("bits_per_character").get<double>() == doctest::Approx(nats(again) / std::log(2.0)));
  run.write("other", "\xC3\x84\n");
  CHECK_THROWS_AS(run.evaluate({.data = {run.path("other")}}), Error);
  run.write("empty", "");
  CHECK_THROWS_AS(run.evaluate({.data = {run.path("empty")}}), FileError);

  run.write("short", "a");
  std::filesystem::remove(run.model());
  for (const char* wrong : {"none", "empty", "short", "other"}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(run.train({.data = {run.path("data")}, .valid = {run.path(wrong)}}), Error);
    CHECK_THROWS_AS(run.train({.data = {run.path("data")}, .test = {run.path(wrong)}}), Error);
    CHECK_FALSE(std::filesystem::exists(run.model()));  // none was trained
  }

  const auto refuses = [&](const nlohmann::json& settings) {
    run.set(small);
    run.set(settings);
    CHECK_THROWS_AS(run.train({.data = {run.path("data")}}), ValueError);
  };
  refuses({{"optimizer", "newton"}});
  refuses({{"optimizer", "adam"}, {"schedule", "never"}});
  refuses({{"schedule", "cosine"}, {"dropout-input", 1.0}});
  refuses({{"dropout-recurrent", -0.1}});
  refuses({{"dropout-recurrent", 0.0}, {"tied", true}, {"embed", 12}});
  refuses({{"tied", false}, {"factor", 0.0}});
}

TEST_CASE("language models: several files are one text, and lines that are not UTF-8 can be left out") {
  const TaskRun run("char-lm");
  run.task.synthesize(run.path("data"), 100, 1);
  run.write("end", "the cat");
  run.write("bad", "the cat\nthe \xFF dog\nthe ship\n");
  run.write("good", "the cat\nthe ship\n");
  run.set(small);
  run.set({{"epochs", 1}});
  const std::string data = run.path("data"), end = run.path("end"), bad = run.path("bad"), good = run.path("good");
  const std::string place = bad + ":2: invalid UTF-8 at byte 12";
  CHECK_THROWS_WITH_AS(run.train({.data = {data, bad}, .valid = {data}}), place.c_str(), FileError);
  CHECK_THROWS_WITH_AS(run.train({.data = {data}, .valid = {data, bad}}), place.c_str(), FileError);
  const auto left_out = run.train({.data = {data, end, bad}, .valid = {data}, .skip_bad = true});
  const auto whole = run.train({.data = {data, end, good}, .valid = {data}});
  CHECK(nats(left_out) == nats(whole));
  CHECK(nats(run.train({.data = {data}, .valid = {data}})) != nats(whole));
  CHECK_THROWS_WITH_AS(run.evaluate({.data = {bad}}), place.c_str(), FileError);
  CHECK(run.evaluate({.data = {bad}, .skip_bad = true}) == run.evaluate({.data = {good}}));
  run.write("marked", "\xEF\xBB\xBFthe cat\nthe ship\n");
  CHECK(nats(run.train({.data = {data, end, run.path("marked")}, .valid = {data}, .skip_bad = true})) == nats(whole));
}
