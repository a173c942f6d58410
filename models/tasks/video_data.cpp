#include <unroll/models/tasks/video_data.h>

#include <array>
#include <cmath>
#include <fstream>
#include <map>
#include <span>

#include <fmt/format.h>

#include <unroll/autograd/tensor/error.h>
#include <unroll/models/data/numbers.h>

namespace unroll::inline UNROLL_ISA {
namespace {

constexpr Index joints = Clip::joints, coordinates = Clip::coordinates;

/// The number of a frame and the coordinates of a line, or none of these where it is no frame.
std::pair<Index, std::vector<float>> frame_of(std::span<const std::string_view> parts) {
  if (parts.size() != 3 + coordinates || parts[1].empty()) return {};
  const auto number = number_of<Index>(parts[2]);
  std::vector<float> pose;
  for (const std::string_view part : parts.subspan(3)) {
    const auto value = number_of<float>(part);
    if (!number || !value || !std::isfinite(*value)) return {};
    pose.push_back(*value);
  }
  return {*number, pose};
}

/// A clip of a file, whose frames may come in any order.
struct Frames {
  Clip clip;
  std::map<Index, std::vector<float>> poses;
};

}  // namespace

std::vector<Clip> read_clips(const std::vector<std::string>& files, BadLines& bad) {
  std::vector<Clip> clips;
  for (const std::string& file : files) {
    LineReader lines(file);
    std::string_view line;
    if (!lines.next(line)) continue;
    require<FileError>(frame_of(split_line(line, ',')).second.empty(),
                       "{}: the first line should be the header, with the names of the columns", lines.place());
    std::vector<Frames> found;
    std::map<std::string, std::size_t, std::less<>> places;  // in `found`, of each clip
    while (lines.next(line)) {
      const auto parts = split_line(line, ',');
      auto [number, pose] = frame_of(parts);
      if (pose.empty()) {
        bad.report(lines.place(),
                   fmt::format("clip, label, the number of the frame and {} coordinates are expected", coordinates));
        continue;
      }
      const auto [place, is_new] = places.try_emplace(std::string(parts[0]), found.size());
      if (is_new) found.push_back({{std::string(parts[0]), std::string(parts[1]), lines.place(), {}}, {}});
      auto& [clip, poses] = found[place->second];
      if (clip.label != parts[1])
        bad.report(lines.place(), fmt::format("clip {} is of '{}' here, and of '{}' in {}", clip.name, parts[1],
                                              clip.label, clip.place));
      else if (!poses.try_emplace(number, std::move(pose)).second)
        bad.report(lines.place(), fmt::format("clip {} has had frame {} before", clip.name, number));
    }
    for (auto& [clip, poses] : found) {
      for (const auto& [number, pose] : poses) clip.poses.insert(clip.poses.end(), pose.begin(), pose.end());
      clips.push_back(std::move(clip));
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
