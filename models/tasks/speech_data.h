#pragma once

#include <unroll/models/data/recordings.h>

namespace unroll::inline UNROLL_ISA {

/// What a network hears: a recording, or several of one speaker.
struct Utterance {
  static constexpr Index bands = 40;

  std::string place;  // its file, or the first of those that it is joined from
  std::string text, speaker;
  std::string group;            // of a string and the recordings that it is joined from
  std::vector<float> features;  // [frames, bands]
  std::vector<std::int32_t> target;
  Index length() const { return static_cast<Index>(features.size()) / bands; }
  /// The value at frame `t` and band `k`, linear between the nearest; beyond the last, that of the last.
  float at(double t, double k) const;
  /// The least steps in which the text can be read: one for each label, and a blank between equal ones.
  Index least_steps() const;
};

struct JoinOptions {
  Index digits = 5;  // recordings of a speaker are also joined to strings of up to so many; 1: they are not
  Index joins = 2;   // strings that a recording is in, besides standing alone
};

/// The recordings of files (see read_recordings), each on its own and in strings with others, which `rng` draws. Throws
/// FileError.
std::vector<Utterance> read_utterances(const std::vector<std::string>& files, double seconds_per_label,
                                       const JoinOptions& options, Rng& rng, BadLines& bad);
/// The sounds of a WAV file, or of those of an archive or a folder, without texts. Throws FileError, also when there is
/// none.
std::vector<Utterance> read_sounds(const std::string& path);

/// Writes a folder of made-up recordings of two speakers. Whistles: each digit is a glide from a pitch of its own, up
/// or down. Throws FileError.
void write_whistles(const std::string& path, Index count, Rng& rng);

}  // namespace unroll::inline UNROLL_ISA
