#pragma once

#include <unroll/autograd/tensor/rng.h>
#include <unroll/models/data/files.h>
#include <unroll/models/tasks/music_request.h>

namespace unroll::inline UNROLL_ISA {

struct Piece {
  std::vector<Chord> steps;
  Index length() const { return static_cast<Index>(steps.size()); }
  /// An interval of at most `most` semitones, uniform among those by which the piece stays on the piano.
  int draw_shift(Index most, Rng& rng) const;
};

/// A piece of each line of files: chords as parse_chord reads them, parted by spaces. Reported to `bad`: lines with
/// something else, or of less than two steps. Throws FileError.
std::vector<Piece> read_pieces(const std::vector<std::string>& files, BadLines& bad);

/// Writes made-up pieces: four voices that go round I, vi, IV, V in some key. Throws FileError.
void write_pieces(const std::string& path, Index count, Rng& rng);

}  // namespace unroll::inline UNROLL_ISA
