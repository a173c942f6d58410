#include <unroll/models/data/recordings.h>

#include <algorithm>
#include <cctype>
#include <cmath>

namespace unroll::inline UNROLL_ISA {
namespace {

bool is_wav(const std::string& name) {
  const std::string kind = std::filesystem::path(name).extension().string();
  return kind == ".wav" || kind == ".WAV";
}

/// Files that lie about alone are unpacked as they are read.
bool is_packed_wav(const std::string& name) {
  const std::filesystem::path path(name);
  const std::string kind = path.extension().string();
  return (kind == ".gz" || kind == ".bz2" || kind == ".xz" || kind == ".zst") && is_wav(path.stem().string());
}

/// False for a name of another form.
bool parse_name(Recording& recording) {
  const std::string stem = std::filesystem::path(recording.name).stem().string();
  const std::size_t first = stem.find('_'), last = stem.rfind('_');
  if (first == std::string::npos || first == 0 || last < first + 2 || last + 1 == stem.size()) return false;
  recording.text = stem.substr(0, first);
  recording.speaker = stem.substr(first + 1, last - first - 1);
  return std::all_of(recording.text.begin(), recording.text.end(),
                     [](unsigned char c) { return c < 128 && std::isalnum(c) != 0; });
}

/// The standard deviation of the quietest hundredth of a second.
double quietest(const Sound& sound) {
  const auto size = static_cast<std::size_t>(sound.rate / 100);
  double least = INFINITY;
  for (std::size_t first = 0; first + size <= sound.samples.size(); first += size) {
    double sum = 0, squares = 0;
    for (std::size_t i = first; i < first + size; ++i) {
      const auto v = static_cast<double>(sound.samples[i]);
      sum += v, squares += v * v;
    }
    const double mean = sum / static_cast<double>(size);
    least = std::min(least, squares / static_cast<double>(size) - mean * mean);
  }
  return std::isfinite(least) ? std::sqrt(std::max(0.0, least)) : 0;
}

}  // namespace

void for_each_wav(const std::string& path, const std::function<void(const std::string&, const std::string&)>& f) {
  const bool folder = is_folder(path);
  if (!folder && (is_wav(path) || is_packed_wav(path))) return f(path, read_file(path));
  for_each_file_in(path, [&](const std::string& name, const std::string& content) {
    if (is_wav(name) || (folder && is_packed_wav(name))) f(name, content);
  });
}

std::map<std::string, std::vector<Recording>> read_recordings(const std::vector<std::string>& files,
                                                              double seconds_per_label, BadLines& bad) {
  std::map<std::string, std::vector<Recording>> speakers;
  const auto read = [&](const std::string& name, const std::string& content) {
    Recording r{.name = name, .text = {}, .speaker = {}, .sound = {}};
    if (!parse_name(r)) return bad.report(name, "a name LABELS_SPEAKER_INDEX.wav is expected");
    try {
      r.sound = decode_sound(content);
    } catch (const ValueError& error) { return bad.report(name, error.what()); }
    if (r.sound.rate < 8000 || r.sound.rate > 768000)
      return bad.report(name, fmt::format("{} samples per second are not in 8000 .. 768000", r.sound.rate));
    if (r.sound.seconds() < seconds_per_label * static_cast<double>(r.text.size()))
      return bad.report(name, fmt::format("{:.3f} seconds are too short for '{}'", r.sound.seconds(), r.text));
    std::vector<Recording>& others = speakers[r.speaker];
    if (!others.empty() && others[0].sound.rate != r.sound.rate)
      return bad.report(name, fmt::format("{} samples per second, where {} has {}", r.sound.rate, others[0].name,
                                          others[0].sound.rate));
    others.push_back(std::move(r));
  };
  for (const std::string& file : files) for_each_wav(file, read);
  // An archive holds its files in any order.
  const auto key = [](const Recording& r) { return std::pair(std::filesystem::path(r.name).filename(), r.name); };
  for (auto& [speaker, recordings] : speakers)
    std::ranges::sort(recordings, [&](const Recording& a, const Recording& b) { return key(a) < key(b); });
  return speakers;
}

Sound join(std::span<const Recording* const> parts, Rng& rng) {
  double level = INFINITY;
  for (const Recording* part : parts) level = std::min(level, quietest(part->sound));
  Sound sound{{}, parts[0]->sound.rate};
  for (const Recording* part : parts) {
    const Index silence = sound.samples.empty() ? 0 : rng.below(sound.rate / 5);
    for (Index i = 0; i < silence; ++i) sound.samples.push_back(static_cast<float>(level * rng.normal()));
    sound.samples.insert(sound.samples.end(), part->sound.samples.begin(), part->sound.samples.end());
  }
  return sound;
}

}  // namespace unroll::inline UNROLL_ISA
