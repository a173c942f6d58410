#pragma once

#include <string_view>

#include <unroll/models/data/midi.h>

namespace unroll::inline UNROLL_ISA {

constexpr int lowest_note = 21, highest_note = 108;  // the keys of a piano

/// A chord as "60,64,67", of notes of the piano, or "-" for silence; a note that is there twice counts once. False if
/// it is none.
bool parse_chord(std::string_view text, Chord& chord);
/// Chords as parse_chord reads them, parted by spaces.
std::string text_of(std::span<const Chord> steps);

/// What a piece is asked for with: a seed alone, or, in any order, the chords that it begins with and some of seed=,
/// steps=, temperature= and tempo= and a number.
struct MusicRequest {
  std::vector<Chord> first;
  double seed = 1;
  double steps = 64;  // after those given
  double temperature = 0.9;
  double tempo = 100;  // steps a minute

  /// Throws ValueError, naming the word that is none of them or the number that is out of range.
  explicit MusicRequest(std::string_view input);
};

}  // namespace unroll::inline UNROLL_ISA
