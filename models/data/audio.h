#pragma once

#include <string>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

// Sound files, and what a recognizer hears of them.

namespace unroll::inline UNROLL_ISA {

/// One channel of sound; full scale is -1 .. 1.
struct Sound {
  std::vector<float> samples;
  Index rate = 8000;  // samples per second
  double seconds() const { return static_cast<double>(samples.size()) / static_cast<double>(rate); }
};

/// The sound in the bytes of a file: WAV, or what else libsndfile knows. Channels are averaged. Throws ValueError for
/// bytes that are no sound, hold none or less than their header says, or have samples that are far off the scale or no
/// numbers.
Sound decode_sound(const std::string& bytes);
/// Writes a WAV file of 16 bits; what is beyond the scale is cut. Throws FileError.
void write_wav(const std::string& path, const Sound& sound);

struct LogMelOptions {
  Index bands = 40;
  double window = 0.025, hop = 0.010;  // seconds
  double lowest = 60, highest = 4000;  // Hz
  double floor = 1e-8;                 // added to the energy of a band
};

/// Logarithms of the energies in bands of equal width on the mel scale 2595 log10(1 + f / 700) (Davis and Mermelstein
/// 1980), [frames, bands] by rows. Frame t is the Hann window that begins at sample round(t hop rate); its power
/// spectrum over the number of its samples, of so many points that no band falls between them, is weighed by triangles
/// whose feet are the centres of the neighbouring bands. There is a frame for every hop that a whole window begins at,
/// and at least one, filled up by silence. Throws ValueError for a rate below 2 `highest` or above 768000, and for
/// options outside their domain.
std::vector<float> log_mel(const Sound& sound, const LogMelOptions& options = {});

}  // namespace unroll::inline UNROLL_ISA
