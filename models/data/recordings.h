#pragma once

#include <filesystem>
#include <map>
#include <span>

#include <unroll/autograd/tensor/rng.h>
#include <unroll/models/data/audio.h>
#include <unroll/models/data/files.h>

// Speech as WAV files whose names say what is said: LABELS_SPEAKER_INDEX.wav, such as 7_ann_3.wav or 407_ann_0.wav.

namespace unroll::inline UNROLL_ISA {

struct Recording {
  std::string name, text, speaker;  // of the text each character is a label
  Sound sound;
};

/// Calls f(name, content) for a WAV file, or for those of an archive or a folder; other files are passed over. A file
/// and those of a folder may be compressed (x.wav.gz). Throws FileError.
void for_each_wav(const std::string& path, const std::function<void(const std::string&, const std::string&)>& f);

/// The recordings in WAV files, archives and folders, by speaker, of each by name. To be reported to `bad`: names of
/// another form, files that hold no sound, a rate that is not in 8000 .. 768000 samples per second, a rate that is not
/// that of the speaker's others, and less than `seconds_per_label`.
std::map<std::string, std::vector<Recording>> read_recordings(const std::vector<std::string>& files,
                                                              double seconds_per_label, BadLines& bad);

/// Recordings of one rate, one after the other. Between them is up to a fifth of a second of noise that is as loud as
/// the quietest hundredth of a second in them.
Sound join(std::span<const Recording* const> parts, Rng& rng);

}  // namespace unroll::inline UNROLL_ISA
