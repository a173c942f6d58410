#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include <unroll/autograd/tensor/rng.h>
#include <unroll/models/data/audio.h>
#include <unroll/models/data/files.h>

#include <models/tasks/task_run.h>

using namespace unroll;

namespace {

Sound noise(Index samples, Index rate = 8000) {
  Rng rng{1};
  Sound sound{{}, rate};
  for (Index i = 0; i < samples; ++i) sound.samples.push_back(static_cast<float>(0.1 * rng.normal()));
  return sound;
}

/// The definition, by a Fourier sum at each of `points` frequencies.
double log_energy(const Sound& sound, std::size_t first, double left, double centre, double right, Index points) {
  const auto rate = static_cast<double>(sound.rate);
  const Index window = sound.rate / 40;
  double energy = 1e-8;
  for (Index p = 0; p <= points / 2; ++p) {
    const double f = static_cast<double>(p) * rate / static_cast<double>(points);
    if (f <= left || f >= right) continue;
    double re = 0, im = 0;
    for (Index i = 0; i < window; ++i) {
      const double at = static_cast<double>(i);
      const double sine = std::sin(std::numbers::pi * (at + 0.5) / static_cast<double>(window));
      const double x = sine * sine * static_cast<double>(sound.samples[first + static_cast<std::size_t>(i)]);
      re += x * std::cos(2 * std::numbers::pi * f * at / rate);
      im += x * std::sin(2 * std::numbers::pi * f * at / rate);
    }
    const double weight = f < centre ? (f - left) / (centre - left) : (right - f) / (right - centre);
    energy += weight * (re * re + im * im) / static_cast<double>(window);
  }
  return std::log(energy);
}

double edge(Index k) {  // of 12 bands from 100 to 3900 Hz
  const auto mel = [](double f) { return 2595 * std::log10(1 + f / 700); };
  const double at = mel(100) + (mel(3900) - mel(100)) * static_cast<double>(k) / 13;
  return 700 * (std::pow(10.0, at / 2595) - 1);
}

}  // namespace

TEST_CASE("log mel energies are what their definition says") {
  for (const Index rate : {Index{8000}, Index{16000}}) {
    const Sound sound = noise(rate / 10, rate);
    const std::vector<float> x = log_mel(sound, {.bands = 12, .lowest = 100, .highest = 3900});
    REQUIRE(x.size() == 8 * 12);  // windows of 25 ms in 100 ms, one each 10 ms
    const Index points = rate == 8000 ? 256 : 512;
    for (const std::size_t t : {0U, 3U, 7U})
      for (Index k = 0; k < 12; ++k) {
        const double want =
            log_energy(sound, t * static_cast<std::size_t>(rate) / 100, edge(k), edge(k + 1), edge(k + 2), points);
        CHECK(static_cast<double>(x[t * 12 + static_cast<std::size_t>(k)]) == doctest::Approx(want).epsilon(1e-5));
      }
  }
}

TEST_CASE("log mel energies: silence, what is shorter than a window, and rates that are too low") {
  const std::vector<float> silent = log_mel({std::vector<float>(100, 0.0F), 8000});
  REQUIRE(silent.size() == 40);
  for (const float v : silent) CHECK(v == doctest::Approx(std::log(1e-8)));
  CHECK(log_mel({{}, 8000}).size() == 40);
  CHECK(log_mel(noise(200)).size() == 40);
  CHECK(log_mel(noise(279)).size() == 40);
  CHECK(log_mel(noise(280)).size() == 80);
  for (const float v : log_mel(noise(400), {.bands = 128})) CHECK(static_cast<double>(v) > std::log(1e-8) + 1);
  CHECK_THROWS_AS(log_mel(noise(400, 4000)), ValueError);
  CHECK_THROWS_AS(log_mel(noise(400), {.bands = 0}), ValueError);
}

TEST_CASE("sound that was written is read, to the accuracy of 16 bits") {
  const TaskRun run("speech");
  const std::string file = run.path("a.wav");
  Sound sound = noise(1000, 11025);
  sound.samples[7] = 3;
  write_wav(file, sound);
  const Sound read = decode_sound(read_file(file));
  CHECK(read.rate == 11025);
  REQUIRE(read.samples.size() == 1000);
  CHECK(read.samples[7] == doctest::Approx(1).epsilon(1e-4));
  for (std::size_t i = 8; i < 1000; ++i) CHECK(std::abs(read.samples[i] - sound.samples[i]) < 1.01F / 32768);
  CHECK_THROWS_AS(write_wav(run.path("none/a.wav"), sound), FileError);
}

TEST_CASE("what is no sound is refused") {
  const auto word = [](std::uint32_t v, int bytes) {
    std::string s;
    for (int i = 0; i < bytes; ++i) s += static_cast<char>(v >> (8 * i) & 255U);
    return s;
  };
  // Two channels of floats.
  const auto wav = [&](const std::vector<float>& samples) {
    std::string data;
    for (const float v : samples) data += word(std::bit_cast<std::uint32_t>(v), 4);
    const std::string format = word(3, 2) + word(2, 2) + word(8000, 4) + word(64000, 4) + word(8, 2) + word(32, 2);
    return "RIFF" + word(static_cast<std::uint32_t>(36 + data.size()), 4) + "WAVEfmt " + word(16, 4) + format + "data" +
           word(static_cast<std::uint32_t>(data.size()), 4) + data;
  };
  CHECK(decode_sound(wav({1, 0, 0.5, 0.25})).samples == std::vector<float>{0.5, 0.375});
  CHECK_THROWS_AS(decode_sound(wav({})), ValueError);
  CHECK_THROWS_AS(decode_sound(wav({0, 1e30F})), ValueError);
  CHECK_THROWS_AS(decode_sound(wav({0, std::numeric_limits<float>::quiet_NaN()})), ValueError);
  CHECK_THROWS_AS(decode_sound(""), ValueError);
  CHECK_THROWS_AS(decode_sound("RIFF"), ValueError);
  CHECK_THROWS_AS(decode_sound(std::string(5000, '\xFF')), ValueError);
  // Cut anywhere, it is refused or shorter.
  const std::string whole = wav(std::vector<float>(64, 0.5F));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    std::size_t samples = 0;
    try {
      samples = decode_sound(whole.substr(0, size)).samples.size();
    } catch (const ValueError&) { continue; }
    CHECK(samples <= 32);
  }
}
