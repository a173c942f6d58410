#pragma once

#include <string>
#include <vector>

#include <unroll/autograd/tensor/rng.h>
#include <unroll/models/data/files.h>

namespace unroll::inline UNROLL_ISA {

struct Clip {
  static constexpr Index joints = 15, coordinates = 2 * joints;

  std::string name, label, place;
  std::vector<float> poses;  // [frames, coordinates]: x and y of each joint
  std::int32_t target = 0;
  Index length() const { return static_cast<Index>(poses.size()) / coordinates; }
};

/// The clips of CSV files whose first line is a header: clip, label, frame, x and y of each joint; frames of one name
/// in a row are a clip. Reported to `bad`: lines with something else, or with another label than their clip. Throws
/// FileError, also when the header is missing.
std::vector<Clip> read_clips(const std::vector<std::string>& files, BadLines& bad);

/// Writes made-up clips: bodies whose arms wave, whose legs walk, or that stand. Throws FileError.
void write_clips(const std::string& path, Index count, Rng& rng);

}  // namespace unroll::inline UNROLL_ISA
