#include <doctest/doctest.h>

#include <models/tasks/task_run.h>
#include <unroll/models/tasks/sentiment_data.h>

using namespace unroll;

namespace {

const std::string header = "Title,Review Text,Rating,Recommended IND\n";

TaskData given(std::vector<std::string> data, const std::string& valid = "") {
  TaskData files;
  files.data = std::move(data);
  if (!valid.empty()) files.valid = {valid};
  return files;
}

nlohmann::json small(const nlohmann::json& more = nlohmann::json::object()) {
  nlohmann::json options{{"epochs", 20}, {"batch", 16},  {"embed", 24},
                         {"hidden", 24}, {"rate", 1e-2}, {"dropout", 0.2}};
  options.update(more);
  return options;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

/// The message with which f fails.
template <class E, class F>
std::string complaint(F f) {
  try {
    f();
  } catch (const E& error) { return error.what(); }
  return "nothing was wrong";
}

}  // namespace

TEST_CASE("sentiment: a text is parted into words as the Treebank does") {
  CHECK(joined(opinion_words("I DIDN'T like it's top-notch fit!!! 5'8\" (it ran small)...")) ==
        "i did n't like it 's top-notch fit !!! 5 '8 \" ( it ran small ) ...");
  CHECK(joined(opinion_words("can't n't 'quoted' well- a--b d\u00e9j\u00e0")) ==
        "ca n't n 't ' quoted ' well - a -- b d\u00e9j\u00e0");
  CHECK(opinion_words(" \t\n").empty());
  CHECK_THROWS_AS(opinion_words("\xff"), ValueError);
}

TEST_CASE("sentiment: reviews are read by the names of their columns; such without a word are left out") {
  const TaskRun run("sentiment");
  run.write("data", "Rating,x,Review Text,Title\r\n5,a,\"It's \"\"good\"\",\nreally\",So\r\n1,b,,\r\n2,c,bad,\r\n");
  BadLines bad;
  const auto reviews = read_reviews(FileContent::read(run.path("data")), {"Title,Review Text", "Rating"}, "stars", bad);
  CHECK(bad.summary() == "rows without text left out: 1");
  REQUIRE(reviews.size() == 2);
  CHECK(joined(reviews[0].words) == "so it 's \" good \" , really");
  CHECK(reviews[0].label == 4);
  CHECK(joined(reviews[1].words) == "bad");
  CHECK(reviews[1].label == 1);
  CHECK(complaint<FileError>([&] {
          read_reviews(FileContent::read(run.path("data")), {"Text", "Rating"}, "stars", bad);
        }) == run.path("data") + ": there is no column 'Text' among 'Rating', 'x', 'Review Text', 'Title'");
}

TEST_CASE("sentiment: malformed reviews are named with their line, or left out and counted") {
  const TaskRun run("sentiment");
  const std::string good = header + "T,\"two\nlines\",3,1\n\n";
  for (const auto& [line, what] : std::vector<std::pair<std::string, std::string>>{
           {"a,b,6,1\n", "Rating is not a whole number in 1 .. 5"},
           {"a,b,,1\n", "Rating is not a whole number in 1 .. 5"},
           {"a,b,4.5,1\n", "Rating is not a whole number in 1 .. 5"},
           {"a,b,3\n", "3 fields, and the header has 4"},
           {"a,\"b\nc\"d,3,1\n", "a quote stands inside of a field, or text behind a quoted one"},
           {"a,b\"c,3,1\n", "a quote stands inside of a field, or text behind a quoted one"},
           {"a,\xff,3,1\n", "this is not UTF-8"}}) {
    CAPTURE(line);
    run.write("data", good + line + "a,b,2,1\n");
    BadLines strict, lenient(true);
    const auto read = [&](BadLines& bad) {
      return read_reviews(FileContent::read(run.path("data")), {"Title,Review Text", "Rating"}, "stars", bad);
    };
    CHECK(complaint<FileError>([&] { read(strict); }) == run.path("data") + ":5: " + what);
    CHECK(read(lenient).size() == 2);
    CHECK(lenient.count() == std::count(line.begin(), line.end(), '\n'));
  }
  run.write("data", good + "a,\"b,2,1\n");
  CHECK_THROWS_WITH_AS(run.train(given({run.path("data")})), (run.path("data") + ":5: a quote is not closed").c_str(),
                       FileError);
  run.write("data", "");
  CHECK_THROWS_AS(run.train(given({run.path("data")})), FileError);
  run.write("data", std::string("\x7f\x45\0\x01\xfe,\"\n\r\"\"x", 12));
  CHECK_THROWS_AS(run.train(given({run.path("data")})), FileError);
}

TEST_CASE("sentiment: trees have their phrases and labels") {
  const TaskRun run("sentiment");
  run.write("data", "(3 (2 (2 A) (4 (2 `` -LRB-) )))\n");
  BadLines bad, lenient(true);
  CHECK_THROWS_AS(read_opinion_trees(FileContent::read(run.path("data")), "sentiment5", bad), FileError);
  run.write("data", "(4 (2 A) (3 (1 not) (0 Bad\\/old)))\n\n(2 (2 -LRB-) (4 x))\n(2 it\n(1 (1 a))\n");
  CHECK(complaint<FileError>([&] { read_opinion_trees(FileContent::read(run.path("data")), "sentiment5", bad); }) ==
        run.path("data") + ":4: brackets: column 6: a bracket is not closed");
  const auto five = read_opinion_trees(FileContent::read(run.path("data")), "sentiment5", lenient);
  REQUIRE(five.size() == 3);
  CHECK(lenient.count() == 1);
  CHECK(joined(five[0].words) == "a not bad/old");
  CHECK(joined(five[1].words) == "( x");
  const std::vector<std::array<Index, 5>> expected{
      {-1, 0, 3, 0, 4}, {0, 0, 1, 1, 2}, {0, 1, 3, 0, 3}, {2, 1, 2, 1, 1}, {2, 2, 3, 1, 0}};
  REQUIRE(five[0].phrases.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const Phrase& p = five[0].phrases[i];
    CHECK(std::array<Index, 5>{p.parent, p.first, p.last, p.leaf, p.label} == expected[i]);
  }
  const auto two = read_opinion_trees(FileContent::read(run.path("data")), "sentiment2", lenient);
  REQUIRE(two.size() == 2);  // the neutral one is left out
  CHECK(two[0].label == 1);
  CHECK(two[0].phrases[1].label == -1);
  CHECK(two[0].phrases[3].label == 0);
  CHECK(two[1].label == 0);
  run.write("data", "\uFEFF(2 x)\n");
  CHECK(sentiment_target(FileContent::read(run.path("data")), "auto", true) == "sentiment5");
}

TEST_CASE("sentiment: what is no tree is said with its column") {
  for (const auto& [text, what] : std::vector<std::pair<std::string, std::string>>{
           {"", "brackets: column 1: a tree begins with ("},
           {"x", "brackets: column 1: a tree begins with ("},
           {"(2 x) (3 y)", "brackets: column 7: the tree is over here"},
           {"(2 x y)", "brackets: column 6: a node has one word or children, not more"},
           {"(2 x (3 y))", "brackets: column 6: a node has one word or children, not both"},
           {"(2 (3 y) x)", "brackets: column 10: a node has one word or children, not more"},
           {"(2)", "brackets: column 3: a node has neither word nor children"},
           {"(2 (2 a) (2 b) (2 c))", "a node has more than two branches"}}) {
    CAPTURE(text);
    CHECK(complaint<ValueError>([&] { parse_opinion_tree(text); }) == what);
  }
  CHECK(complaint<ValueError>([&] { parse_opinion_tree(std::string(100000, '(')); }) ==
        "brackets: column 100001: a bracket is not closed");
}

TEST_CASE("sentiment: what was made up is learnt, and what was saved is as good") {
  struct Kind {
    std::string file, target, model, input, answer;
    bool ordinal;
  };
  for (const Kind& kind : {Kind{"a.csv", "auto", "sequence", "They say it is not superb!", "1 star ", false},
                           Kind{"a.csv", "stars", "sequence", "the thing is BRILLIANT", "5 stars ", true},
                           Kind{"a.csv", "recommended", "sequence", "they say it is superb", "recommended ", false},
                           Kind{"a.txt", "auto", "sequence", "not superb", "very negative ", false},
                           Kind{"a.txt", "sentiment2", "tree", "(? (? not) (? superb))", "negative ", false},
                           Kind{"a.txt", "sentiment5", "tree", "(? (? not) (? awful))", "very positive ", false}}) {
    CAPTURE(kind.target);
    CAPTURE(kind.model);
    CAPTURE(kind.ordinal);
    const TaskRun run("sentiment");
    const std::string data = run.path(kind.file), fresh = run.path("new-" + kind.file);
    run.set_generator({{"form", kind.file.ends_with(".csv") ? "reviews" : "trees"}});
    run.task.synthesize(data, 500, 1);
    run.task.synthesize(fresh, 80, 2);
    run.set(small({{"target", kind.target}, {"model", kind.model}, {"ordinal", kind.ordinal}}));
    const auto trained = run.train(given({data}, fresh));
    CHECK(trained.at("accuracy").get<double>() > 0.9);
    CHECK(trained.at("majority").get<double>() < 0.7);
    const auto again = run.evaluate(given({fresh}));
    CHECK(again.at("accuracy") == trained.at("accuracy"));
    CHECK(again.at("macro_f1") == trained.at("macro_f1"));
    const std::string said = run.answer(kind.input);
    CHECK(said.starts_with(kind.answer));
    CHECK(std::stod(said.substr(said.rfind(' '))) > 0.4);
    CHECK_THROWS_AS(run.answer(""), ValueError);
  }
}

TEST_CASE("sentiment: the share that is held out is met to the nearest example, rounded down") {
  const TaskRun run("sentiment");
  run.task.synthesize(run.path("data"), 47, 1);
  run.set(small({{"epochs", 1}, {"phrases", 0}}));
  TaskData data = given({run.path("data")});
  for (const auto& [share, examples] : {std::pair{0.1, 4}, {0.2, 9}, {0.3, 14}, {0.45, 21}, {0.5, 23}}) {
    CAPTURE(share);
    data.held_out = share;
    CHECK(run.train(data).at("examples") == examples);
  }
  data.held_out = 0.02;
  CHECK_THROWS_WITH_AS(run.train(data), "train: 47 examples are too few to hold out a share of 0.02", ValueError);
}

TEST_CASE("sentiment: the majority is that of the training data") {
  const TaskRun run("sentiment");
  run.write("train.csv", header + ",a,5,1\n,a,5,1\n,b,1,0\n");
  run.write("new.csv", header + ",a,5,1\n,a,4,1\n,b,1,0\n,a,1,0\n");
  run.set(small({{"epochs", 1}}));
  const auto trained = run.train(given({run.path("train.csv")}, run.path("new.csv")));
  CHECK(trained.at("majority").get<double>() == 0.25);
}

TEST_CASE("sentiment: options and data that do not go together are refused") {
  const TaskRun run("sentiment");
  run.write("a.csv", header + ",a,5,1\n,b,1,0\n");
  run.write("a.txt", "(3 (2 a) (4 b))\n(1 (2 b) (0 c))\n");
  for (const auto& [file, target, model] : std::vector<std::array<std::string, 3>>{{"a.csv", "sentiment5", "sequence"},
                                                                                   {"a.csv", "auto", "tree"},
                                                                                   {"a.csv", "mood", "sequence"},
                                                                                   {"a.txt", "stars", "sequence"},
                                                                                   {"a.txt", "auto", "forest"}}) {
    CAPTURE(file);
    CAPTURE(target);
    run.set(small({{"target", target}, {"model", model}}));
    CHECK_THROWS_AS(run.train(given({run.path(file)}, run.path(file))), ValueError);
  }
  run.set(small({{"target", "auto"}, {"model", "sequence"}}));
  CHECK_THROWS_AS(run.train(given({run.path("a.csv"), run.path("a.txt")}, run.path("a.csv"))), ValueError);
  run.set(small({{"epochs", 1}}));
  run.train(given({run.path("a.csv")}, run.path("a.csv")));
  CHECK_THROWS_WITH_AS(run.evaluate(given({run.path("a.txt")})),
                       (run.path("a.txt") + ":1: the data say sentiment5, and the model stars").c_str(), FileError);
  for (const auto& wrong : {nlohmann::json{{"hidden", 0}},
                            {{"embed", -1}},
                            {{"layers", 0}},
                            {{"dropout", 1.0}},
                            {{"word-dropout", 1.5}},
                            {{"phrases", -1}}}) {
    CAPTURE(wrong.dump());
    run.set(small());
    run.set(wrong);
    CHECK_THROWS_AS(run.train(given({run.path("a.csv")}, run.path("a.csv"))), ValueError);
  }
}
