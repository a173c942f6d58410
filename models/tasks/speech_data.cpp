#include <unroll/models/tasks/speech_data.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numbers>

#include <unroll/autograd/tensor/error.h>

namespace unroll::inline UNROLL_ISA {
namespace {

/// Log mel energies, of mean 0 and variance 1 over all of them: loudness says nothing.
std::vector<float> features_of(const Sound& sound) {
  std::vector<float> x = log_mel(sound, {.bands = Utterance::bands});
  double sum = 0, squares = 0;
  for (const float v : x) sum += static_cast<double>(v);
  const double mean = sum / static_cast<double>(x.size());
  for (const float v : x) squares += (static_cast<double>(v) - mean) * (static_cast<double>(v) - mean);
  const double scale = 1 / std::sqrt(squares / static_cast<double>(x.size()) + 1e-6);
  for (float& v : x) v = static_cast<float>((static_cast<double>(v) - mean) * scale);
  return x;
}

/// Each recording of a speaker on its own, and in strings with others of its block.
void add_utterances(std::vector<Recording>& recordings, const JoinOptions& o, Rng& rng, std::vector<Utterance>& to) {
  const auto add = [&](std::span<const Recording* const> parts, std::size_t block) {
    Utterance u;
    u.place = parts[0]->name;
    u.speaker = parts[0]->speaker;
    u.group = fmt::format("{} {}", parts[0]->speaker, block);
    for (const Recording* part : parts) u.text += part->text;
    u.features = features_of(join(parts, rng));
    to.push_back(std::move(u));
  };
  shuffle(recordings, rng);
  const auto size = static_cast<std::size_t>(o.digits > 1 ? 3 * o.digits : 1);
  for (std::size_t first = 0; first < recordings.size(); first += size) {
    std::vector<const Recording*> block;
    for (std::size_t i = first; i < std::min(first + size, recordings.size()); ++i) block.push_back(&recordings[i]);
    for (const Recording*& r : block) add({&r, 1}, first);
    for (Index k = 0; o.digits > 1 && k < o.joins; ++k) {
      shuffle(block, rng);
      for (std::size_t at = 0; at + 1 < block.size();) {
        const auto many = static_cast<std::size_t>(2 + rng.below(o.digits - 1));
        const std::size_t parts = std::min(many, block.size() - at);
        add(std::span<const Recording* const>(block).subspan(at, parts), first);
        at += parts;
      }
    }
  }
}

}  // namespace

float Utterance::at(double t, double k) const {
  const auto line = [&](Index frame) {
    const float* const row = features.data() + std::min(frame, length() - 1) * bands;
    const Index low = std::min(static_cast<Index>(k), bands - 1);
    const auto share = static_cast<float>(k - std::floor(k));
    return row[low] + share * (row[std::min(low + 1, bands - 1)] - row[low]);
  };
  const float first = line(static_cast<Index>(t));
  const auto share = static_cast<float>(t - std::floor(t));
  return share == 0 ? first : first + share * (line(static_cast<Index>(t) + 1) - first);
}

Index Utterance::least_steps() const {
  auto steps = static_cast<Index>(text.size());
  for (std::size_t i = 1; i < text.size(); ++i) steps += text[i] == text[i - 1] ? 1 : 0;
  return steps;
}

std::vector<Utterance> read_utterances(const std::vector<std::string>& files, double seconds_per_label,
                                       const JoinOptions& options, Rng& rng, BadLines& bad) {
  auto speakers = read_recordings(files, seconds_per_label, bad);
  std::vector<Utterance> utterances;
  for (auto& [speaker, recordings] : speakers) add_utterances(recordings, options, rng, utterances);
  return utterances;
}

std::vector<Utterance> read_sounds(const std::string& path) {
  std::vector<Utterance> utterances;
  for_each_wav(path, [&](const std::string& name, const std::string& content) {
    Utterance u;
    u.place = name;
    try {
      u.features = features_of(decode_sound(content));
    } catch (const ValueError& error) { throw FileError(fmt::format("{}: {}", name, error.what())); }
    utterances.push_back(std::move(u));
  });
  require<FileError>(!utterances.empty(), "{}: there is no WAV file", path);
  return utterances;
}

void write_whistles(const std::string& path, Index count, Rng& rng) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  require<FileError>(!error, "{} cannot be made: {}", path, error.message());
  for (Index i = 0; i < count; ++i) {
    const Index digit = i % 10, speaker = i / 10 % 2;
    const double from = (speaker == 0 ? 1 : 1.05) * (400 + 200 * static_cast<double>(digit % 5));
    const double seconds = rng.uniform(0.2, 0.3), to = digit < 5 ? 1.6 * from : from / 1.6;
    Sound sound;
    double phase = 0;
    for (Index t = 0; t < static_cast<Index>(8000 * seconds); ++t) {
      const double share = static_cast<double>(t) / (8000 * seconds);
      phase += 2 * std::numbers::pi * (from + share * (to - from)) / 8000;
      const double loud = std::sin(std::numbers::pi * share);
      sound.samples.push_back(static_cast<float>(0.5 * loud * std::sin(phase) + 0.002 * rng.normal()));
    }
    write_wav(fmt::format("{}/{}_{}_{}.wav", path, digit, speaker == 0 ? "ann" : "bob", i / 20), sound);
  }
}

}  // namespace unroll::inline UNROLL_ISA
