#include <doctest/doctest.h>

#include <cmath>

#include <unroll/models/settings.h>
#include <unroll/models/tasks/tasks.h>

using namespace unroll;

TEST_CASE("settings: numbers outside their ranges are named, with what they may be") {
  const auto says = [](double value, Range range, const char* what) {
    CHECK_THROWS_WITH_AS(check_range("train", "x", value, range), what, ValueError);
  };
  says(0, range::width, "train: --x 0 is not in 1 .. 65536");
  says(65537, range::width, "train: --x 65537 is not in 1 .. 65536");
  says(std::nan(""), range::rate, "train: --x nan is not in 1e-12 .. 1000000");
  says(-1, range::not_negative, "train: --x -1 is not at least 0");
  CHECK_NOTHROW(check_range("train", "x", 64, range::depth));
  CHECK_NOTHROW(check_range("train", "x", -1e300, {}));
}

TEST_CASE("settings: widths, layers and batches are bounded in all tasks, and the defaults are within") {
  for (const auto& task : tasks()) {
    CAPTURE(task->name());
    CHECK_NOTHROW(check(task->settings()));
    for (const Setting& s : task->settings()) {
      CAPTURE(s.name);
      for (const char* name :
           {"hidden", "layers", "embed", "embedding", "batch", "epochs", "dropout", "rate", "shards"})
        if (s.name == name) CHECK(s.range.most < 1e7);
    }
  }
}
