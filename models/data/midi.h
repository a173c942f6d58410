#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <unroll/autograd/tensor/isa.h>

namespace unroll::inline UNROLL_ISA {

/// The notes that sound together, as MIDI numbers 0 .. 127: 60 is middle C, 69 is 440 Hz.
using Chord = std::vector<int>;

struct MidiOptions {
  double steps_per_minute = 100;  // a step is a quarter note
  int program = 19;               // instrument of General MIDI, from 0: a church organ
  int velocity = 80;              // 1 .. 127: how hard keys are struck
};

/// A standard MIDI file of the chords, one a step, on channel 1; a note of consecutive steps is struck once and held.
/// Throws ValueError for notes and options outside their domain.
std::string midi_of(std::span<const Chord> steps, const MidiOptions& options = {});

/// The same, written to a file. Throws FileError, too.
void write_midi(const std::string& path, std::span<const Chord> steps, const MidiOptions& options = {});

}  // namespace unroll::inline UNROLL_ISA
