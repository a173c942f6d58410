#include <unroll/models/tasks/video_data.h>

#include <array>
#include <charconv>
#include <cmath>
#include <fstream>

#include <fmt/format.h>

#include <unroll/autograd/tensor/error.h>

namespace unroll::inline UNROLL_ISA {
namespace {

constexpr Index joints = Clip::joints, coordinates = Clip::coordinates;

}  // namespace

std::vector<Clip> read_clips(const std::vector<std::string>& files, BadLines& bad) {
  std::vector<Clip> clips;
  for (const std::string& file : files) {
    LineReader lines(file);
    std::string_view line;
    lines.next(line);
    while (lines.next(line)) {
      const auto parts = split_line(line, ',');
      std::vector<float> pose(coordinates);
      bool good = parts.size() == 3 + coordinates && !parts[1].empty();
      for (std::size_t k = 0; good && k < pose.size(); ++k) {
        const auto [end, error] = std::from_chars(parts[3 + k].begin(), parts[3 + k].end(), pose[k]);
        good = error == std::errc() && end == parts[3 + k].end() && std::isfinite(pose[k]);
      }
      if (!good) {
        bad.report(lines.place(), fmt::format("clip, label, frame and {} numbers are expected", coordinates));
        continue;
      }
      if (clips.empty() || clips.back().name != parts[0])
        clips.push_back({std::string(parts[0]), std::string(parts[1]), {}});
      clips.back().poses.insert(clips.back().poses.end(), pose.begin(), pose.end());
    }
  }
  return clips;
}

void write_clips(const std::string& path, Index count, Rng& rng) {
  std::ofstream out(path);
  require<FileError>(out.good(), "{} cannot be written", path);
  out << "seq,label,frame";
  for (Index j = 0; j < joints; ++j) out << fmt::format(",x{0},y{0}", j);
  for (Index i = 0; i < count; ++i) {
    const Index kind = rng.below(3), frames = 15 + rng.below(20);
    const double pace = rng.uniform(0.5, 0.9), phase = rng.uniform(0.0, 6.0);
    for (Index t = 0; t < frames; ++t) {
      out << fmt::format("\n{},{},{}", i, std::array{"wave", "walk", "stand"}[static_cast<std::size_t>(kind)], t);
      for (Index j = 0; j < joints; ++j) {
        const bool arm = j < 5, moves = kind == 0 ? arm : kind == 1 && !arm;
        const double swing = moves ? 0.2 * std::sin(pace * static_cast<double>(t) + phase) : 0;
        out << fmt::format(",{:.3f},{:.3f}", 0.05 * static_cast<double>(j) + swing + 0.01 * rng.normal(),
                           0.1 * static_cast<double>(j) + 0.01 * rng.normal());
      }
    }
  }
  out << "\n";
  require<FileError>(out.flush().good(), "{} cannot be written", path);
}

}  // namespace unroll::inline UNROLL_ISA
