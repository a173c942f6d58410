#include <unroll/models/tasks/video_data.h>

#include <array>
#include <charconv>
#include <cmath>
#include <fstream>
#include <span>

#include <fmt/format.h>

#include <unroll/autograd/tensor/error.h>

namespace unroll::inline UNROLL_ISA {
namespace {

constexpr Index joints = Clip::joints, coordinates = Clip::coordinates;

/// The coordinates of a line, or none where it is no frame.
std::vector<float> pose_of(std::span<const std::string_view> parts) {
  if (parts.size() != 3 + coordinates || parts[1].empty()) return {};
  std::vector<float> pose;
  for (const std::string_view part : parts.subspan(3)) {
    float value = NAN;
    const auto [end, error] = std::from_chars(part.begin(), part.end(), value);
    if (error != std::errc() || end != part.end() || !std::isfinite(value)) return {};
    pose.push_back(value);
  }
  return pose;
}

}  // namespace

std::vector<Clip> read_clips(const std::vector<std::string>& files, BadLines& bad) {
  std::vector<Clip> clips;
  for (const std::string& file : files) {
    LineReader lines(file);
    std::string_view line;
    if (!lines.next(line)) continue;
    require<FileError>(pose_of(split_line(line, ',')).empty(),
                       "{}: the first line should be the header, with the names of the columns", lines.place());
    const std::size_t before = clips.size();
    while (lines.next(line)) {
      const auto parts = split_line(line, ',');
      const std::vector<float> pose = pose_of(parts);
      if (pose.empty()) {
        bad.report(lines.place(), fmt::format("clip, label, frame and {} numbers are expected", coordinates));
        continue;
      }
      if (clips.size() == before || clips.back().name != parts[0])
        clips.push_back({std::string(parts[0]), std::string(parts[1]), lines.place(), {}});
      Clip& clip = clips.back();
      if (clip.label == parts[1])
        clip.poses.insert(clip.poses.end(), pose.begin(), pose.end());
      else
        bad.report(lines.place(), fmt::format("clip {} is of '{}' here, and of '{}' in {}", clip.name, parts[1],
                                              clip.label, clip.place));
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
