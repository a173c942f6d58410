#include <doctest/doctest.h>

#include <layers/fixture.h>

#include <set>

#include <unroll/models/tasks/synthetic_task.h>

using namespace unroll;

// Tasks are what they say, and can be solved.

namespace {

std::string string_of(const Examples& e, Index row) {
  std::string text;
  for (Index t = 0; t < e.lengths[static_cast<std::size_t>(row)]; ++t)
    for (Index k = 0; k < 7; ++k)
      if (e.inputs(t, row, k) == 1) text += "BTSXVPE"[k];
  return text;
}

}  // namespace

TEST_CASE("synthetic: adding has two marks, one in each half, and their sum") {
  Rng rng{1};
  const SyntheticTask task = synthetic_task("adding", 11);
  const Examples e = task.draw(rng, 500);
  REQUIRE(e.time() == 11);
  CHECK(e.first == 10);
  double error = 0;
  for (Index b = 0; b < 500; ++b) {
    double marks = 0, early = 0, total = 0;
    for (Index t = 0; t < 11; ++t) {
      marks += e.inputs(t, b, 1);
      if (t < 5) early += e.inputs(t, b, 1);
      total += e.inputs(t, b, 0) * e.inputs(t, b, 1);
    }
    CHECK(marks == 2);
    CHECK(early == 1);
    CHECK(e.numbers(0, b, 0) == doctest::Approx(total));
    error += std::pow(total - 1, 2) / 500;
  }
  CHECK(error == doctest::Approx(task.baseline()).epsilon(0.1));
}

TEST_CASE("synthetic: copy asks for the first ten symbols again") {
  Rng rng{2};
  const SyntheticTask task = synthetic_task("copy", 7);
  const Examples e = task.draw(rng, 20);
  REQUIRE(e.time() == 27);
  std::set<std::int32_t> seen;
  for (Index b = 0; b < 20; ++b)
    for (Index t = 0; t < 27; ++t) {
      const std::int32_t answer = e.classes[static_cast<std::size_t>(t * 20 + b)];
      CHECK(e.inputs(t, b,
                     t < 10    ? (seen.insert(e.classes[static_cast<std::size_t>((t + 17) * 20 + b)]),
                               e.classes[static_cast<std::size_t>((t + 17) * 20 + b)])
                     : t == 16 ? 9
                               : 8) == 1);
      if (t < 17) CHECK(answer == 8);
    }
  CHECK(seen == std::set<std::int32_t>{0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(task.baseline() == doctest::Approx(10 * std::log(8.0) / 27));
}

TEST_CASE("synthetic: parity is that of the bits so far") {
  Rng rng{3};
  const Examples e = synthetic_task("parity", 9).draw(rng, 30);
  for (Index b = 0; b < 30; ++b) {
    int ones = 0;
    for (Index t = 0; t < 9; ++t) {
      ones += static_cast<int>(e.inputs(t, b, 0));
      CHECK(e.classes[static_cast<std::size_t>(t * 30 + b)] == ones % 2);
    }
  }
}

TEST_CASE("synthetic: the short strings of the Reber grammar are all there are") {
  Rng rng{4};
  const Examples e = synthetic_task("reber", 6).draw(rng, 400);
  std::set<std::string> seen;
  for (Index b = 0; b < 400; ++b) seen.insert(string_of(e, b) + "E");
  CHECK(seen == std::set<std::string>{"BTXSE", "BPVVE", "BTSXSE", "BPTVVE", "BPVPSE"});
}

TEST_CASE("synthetic: an embedded string ends with its second symbol, which alone is allowed there") {
  Rng rng{5};
  const Examples e = synthetic_task("embedded-reber", 40).draw(rng, 100);
  for (Index b = 0; b < 100; ++b) {
    const std::string text = string_of(e, b) + "E";
    CHECK(text.size() <= 40);
    CHECK(text[1] == text[text.size() - 2]);
    const auto before_last = static_cast<std::size_t>((static_cast<Index>(text.size()) - 3) * 100 + b);
    CHECK(std::popcount(e.allowed[before_last]) == 1);
    CHECK(e.classes[before_last] == (text[1] == 'T' ? 1 : 5));
  }
}

TEST_CASE("synthetic: the next value of a sine is one step on, and its noise is as said") {
  Rng rng{6};
  const Examples e = synthetic_task("sine", 60).draw(rng, 400);
  double squares = 0;
  for (Index b = 0; b < 400; ++b)
    for (Index t = e.first; t < 60; ++t) {
      if (t + 1 < 60) CHECK(e.numbers(t - e.first, b, 0) == e.inputs(t + 1, b, 0));
      squares += std::pow(e.numbers(t - e.first, b, 0), 2);
    }
  CHECK(squares / (400 * 30) == doctest::Approx(0.51).epsilon(0.05));
}

TEST_CASE("synthetic: a gated cell solves the Reber grammar, which it cannot untrained") {
  SyntheticTrainer trainer({.task = "reber", .cell = "gru", .hidden = 24, .updates = 400});
  CHECK_FALSE(trainer.evaluate(100).solved);
  for (int i = 0; i < 400; ++i) trainer.update();
  const SyntheticScore score = trainer.evaluate(200);
  CHECK(score.solved);
  CHECK(score.loss < trainer.task().baseline());
}

TEST_CASE("synthetic: training that was saved goes on to the same bits") {
  const SyntheticTraining options{.task = "copy", .cell = "lstm", .steps = 5, .hidden = 8, .updates = 40};
  SyntheticTrainer whole(options), part(options), rest(options);
  const std::string file = std::filesystem::temp_directory_path() / "unroll_synthetic_test.safetensors";
  for (int i = 0; i < 20; ++i) whole.update(), part.update();
  part.save(file);
  rest.resume(file);
  std::filesystem::remove(file);
  for (int i = 0; i < 20; ++i) CHECK(whole.update() == rest.update());
  CHECK(rest.updates() == 40);
}

TEST_CASE("synthetic: what is drawn is the same when it was text") {
  for (const std::string& name : synthetic_task_names()) {
    CAPTURE(name);
    const SyntheticTask task = synthetic_task(name, 20);
    Rng rng{7};
    const Examples drawn = task.draw(rng, 1), read = task.text->parse(task.text->line(drawn, 0), true);
    CHECK(read.inputs == drawn.inputs);
    CHECK(read.lengths == drawn.lengths);
    CHECK(read.first == drawn.first);
    CHECK(read.classes == drawn.classes);
    CHECK(read.allowed == drawn.allowed);
    if (task.numbers) CHECK(read.numbers == drawn.numbers);
  }
}

TEST_CASE("synthetic: the beginning of a sequence is an input, and what comes next is asked") {
  const auto begun = [](const char* name, const char* line) { return synthetic_task(name).text->parse(line, false); };
  const Examples reber = begun("reber", "BTX");
  CHECK(reber.time() == 3);
  CHECK(reber.first == 2);
  CHECK(reber.classes.empty());
  const Examples sine = begun("sine", "0.5 0.25");
  CHECK(sine.inputs(1, 0, 0) == 0.25F);
  CHECK(sine.first == 1);
  CHECK(begun("copy", "0123456701.>").first == 12);
  CHECK(begun("embedded-reber", "BPBT").time() == 4);
}

TEST_CASE("synthetic: a line that is no sequence says what is wrong") {
  const auto says = [](const char* name, const char* line, const char* what, bool whole = true) {
    CHECK_THROWS_WITH_AS(synthetic_task(name).text->parse(line, whole), what, ValueError);
  };
  says("adding", "0.5 0.25* 0.5", "1 numbers are marked, not 2");
  says("adding", "", "0 numbers are marked, not 2");
  says("adding", "0.5* x*", "'x' is no number");
  says("adding", "0.5* nan*", "'nan' is no number");
  says("copy", "0123x", "'x' is none of 01234567.>");
  says("copy", "0123.", "'.' is at place 5 of ten symbols of 0 .. 7, blanks as '.', and '>'");
  says("copy", "0123456701..", "'.' is at place 12 of ten symbols of 0 .. 7, blanks as '.', and '>'");
  says("copy", "0123456701", "ten symbols, blanks as '.', and '>' are more than 10");
  says("parity", "012", "'2' is none of 01");
  says("parity", "", "there is nothing on the line");
  says("reber", "BTT", "after 'BT' S or X comes, not 'T'");
  says("reber", "BTXSEB", "after 'BTXSE' the string ends, not 'B'");
  says("reber", "BTX", "after 'BTX' S or X comes, and nothing does");
  says("embedded-reber", "BPBTXSETE", "after 'BPBTXSE' P comes, not 'T'");
  says("reber", "", "there is no symbol", false);
  says("sine", "0.5", "0 steps are too few");
}

TEST_CASE("synthetic: tasks that there are not") {
  CHECK_THROWS_WITH_AS(synthetic_task("subtracting"),
                       "there is no task \"subtracting\": adding, copy, parity, reber, embedded-reber, sine",
                       ValueError);
  CHECK_THROWS_WITH_AS(synthetic_task("adding", 1), "adding: 1 steps are not in 2 .. 1048576", ValueError);
  CHECK_THROWS_AS(SyntheticTrainer({.task = "reber", .hidden = 0}), ValueError);
}
