#include <doctest/doctest.h>

#include <cmath>

#include <unroll/models/data/recordings.h>

#include <models/tasks/task_run.h>

using namespace unroll;

namespace {

Sound constant(Index samples, float value, Index rate = 8000) {
  return {std::vector<float>(static_cast<std::size_t>(samples), value), rate};
}

}  // namespace

TEST_CASE("recordings are named after what is said and by whom") {
  const TaskRun run("speech");
  write_wav(run.path("7_ann_3.wav"), constant(800, 0.5));
  write_wav(run.path("40_bob_b_0.WAV"), constant(1600, 0.25, 16000));
  run.write("notes.txt", "no recording");
  BadLines bad;
  const auto all = read_recordings({run.path("")}, 0.04, bad);
  REQUIRE(all.size() == 2);
  CHECK(all.at("ann")[0].text == "7");
  CHECK(all.at("bob_b")[0].text == "40");
  CHECK(all.at("bob_b")[0].sound.rate == 16000);
  CHECK(all.at("ann")[0].sound.samples.size() == 800);
  CHECK(read_recordings({run.path("7_ann_3.wav")}, 0.04, bad).size() == 1);
  CHECK_THROWS_AS(read_recordings({run.path("none")}, 0.04, bad), FileError);
}

TEST_CASE("recordings come by name, in whatever order they are read") {
  const TaskRun run("speech");
  for (const char* name : {"2_ann_0.wav", "1_ann_1.wav", "1_ann_0.wav"}) write_wav(run.path(name), constant(800, 0.5));
  BadLines bad;
  const auto all =
      read_recordings({run.path("2_ann_0.wav"), run.path("1_ann_1.wav"), run.path("1_ann_0.wav")}, 0.04, bad);
  REQUIRE(all.at("ann").size() == 3);
  CHECK(all.at("ann")[0].name == run.path("1_ann_0.wav"));
  CHECK(all.at("ann")[2].name == run.path("2_ann_0.wav"));
}

TEST_CASE("recordings that cannot be understood are reported by their names, or left out and counted") {
  const TaskRun run("speech");
  write_wav(run.path("1_ann_0.wav"), constant(800, 0.5));
  for (const char* name : {"ann.wav", "1_ann.wav", "_ann_0.wav", "1__0.wav", "1_ann_.wav", "\xC3\xA9_ann_0.wav"})
    write_wav(run.path(name), constant(800, 0.5));
  run.write("2_ann_0.wav", "rubbish");
  run.write("3_ann_0.wav", "");
  write_wav(run.path("7_ann_0.wav"), constant(800, 0.5));
  std::filesystem::resize_file(run.path("7_ann_0.wav"), 1400);
  write_wav(run.path("4_low_0.wav"), constant(800, 0.5, 4000));
  write_wav(run.path("5_ann_0.wav"), constant(800, 0.5, 16000));
  write_wav(run.path("666_ann_0.wav"), constant(800, 0.5));
  BadLines skipped(true);
  const auto all = read_recordings({run.path("")}, 0.04, skipped);
  CHECK(all.at("ann").size() == 1);
  CHECK(skipped.count() == 12);
  BadLines bad;
  CHECK_THROWS_WITH_AS(read_recordings({run.path("1_ann.wav")}, 0.04, bad),
                       (run.path("1_ann.wav") + ": a name LABELS_SPEAKER_INDEX.wav is expected").c_str(), FileError);
  CHECK_THROWS_WITH_AS(read_recordings({run.path("666_ann_0.wav")}, 0.04, bad),
                       (run.path("666_ann_0.wav") + ": 0.100 seconds are too short for '666'").c_str(), FileError);
  CHECK_THROWS_WITH_AS(
      read_recordings({run.path("7_ann_0.wav")}, 0.04, bad),
      (run.path("7_ann_0.wav") + ": it ends before the last of the samples that its header promises").c_str(),
      FileError);
  CHECK_THROWS_AS(read_recordings({run.path("2_ann_0.wav")}, 0.04, bad), FileError);
}

TEST_CASE("joined recordings follow each other, with noise between them as loud as they are where they are quietest") {
  Recording loud{.name = {}, .text = "1", .speaker = {}, .sound = constant(400, 0.5)};
  Recording quiet = loud;
  for (std::size_t i = 0; i < 400; ++i) {
    loud.sound.samples[i] = i % 2 == 0 ? 0.5F : -0.5F;
    quiet.sound.samples[i] = (i % 2 == 0 ? 1.0F : -1.0F) * (i < 80 ? 0.01F : 0.7F);
  }
  const Recording* parts[] = {&loud, &quiet};
  Rng rng{3};
  const Sound both = join(parts, rng);
  REQUIRE(both.samples.size() > 1000);
  CHECK(both.samples.size() < 800 + 1600);
  CHECK(std::equal(loud.sound.samples.begin(), loud.sound.samples.end(), both.samples.begin()));
  CHECK(std::equal(quiet.sound.samples.begin(), quiet.sound.samples.end(), both.samples.end() - 400));
  double squares = 0;
  for (std::size_t i = 400; i < both.samples.size() - 400; ++i) squares += std::pow(both.samples[i], 2);
  CHECK(std::sqrt(squares / static_cast<double>(both.samples.size() - 800)) == doctest::Approx(0.01).epsilon(0.1));
  Rng again{3};
  CHECK(join(parts, again).samples == both.samples);
  CHECK(join(std::span<const Recording* const>(parts).first(1), rng).samples == loud.sound.samples);
}
