#pragma once

#include <string>
#include <vector>

#include <unroll/autograd/tensor/rng.h>
#include <unroll/models/data/files.h>

namespace unroll::inline UNROLL_ISA {

/// An utterance of a vowel.
struct Vowel {
  static constexpr Index coefficients = 12;  // of a frame

  std::string label;           // the speaker
  std::string place;           // "file:12", where it begins
  std::vector<float> cepstra;  // [frames, coefficients]
  std::int32_t target = 0;
  Index length() const { return static_cast<Index>(cepstra.size()) / coefficients; }
};

/// The file size_X beside a file X or X.gz, which may be packed itself.
std::string sizes_beside(const std::string& file);
/// The utterances of a file, without their speakers. After each stands an empty line, or a frame of ones. Reported to
/// `bad`: lines with anything but 12 numbers; an utterance of such alone has no frames. Throws FileError.
std::vector<Vowel> read_vowels(const std::string& file, BadLines& bad);
/// The utterances of files X with their speakers, 1, 2 and so on in each: one speaker after the other, as many of each
/// as `blocks` ("31,35,88") says if these are all that there are, or the file size_X beside it, or else `block`. Those
/// without frames are left out. Throws FileError, also when there are more or fewer, and ValueError for other blocks.
std::vector<Vowel> read_labelled_vowels(const std::vector<std::string>& files, Index block, const std::string& blocks,
                                        BadLines& bad);

/// Writes made-up utterances, and size_X beside them: three speakers, whose cepstra move between two points of their
/// own. Throws FileError.
void write_vowels(const std::string& path, Index count, Rng& rng);

}  // namespace unroll::inline UNROLL_ISA
