#include <unroll/models/tasks/music_data.h>

#include <algorithm>
#include <array>
#include <fstream>

#include <fmt/format.h>

#include <unroll/autograd/tensor/error.h>

namespace unroll::inline UNROLL_ISA {
namespace {

/// Binary rubbish is not sent to a terminal.
std::string printable(std::string_view text) {
  std::string safe(text);
  for (char& c : safe)
    if (c < ' ' || c > '~') c = '?';
  return safe;
}

}  // namespace

int Piece::draw_shift(Index most, Rng& rng) const {
  int low = highest_note, high = lowest_note;
  for (const Chord& chord : steps)
    for (const int note : chord) low = std::min(low, note), high = std::max(high, note);
  if (low > high) return 0;
  const Index down = std::min<Index>(most, low - lowest_note), up = std::min<Index>(most, highest_note - high);
  return static_cast<int>(rng.below(down + up + 1) - down);
}

std::vector<Piece> read_pieces(const std::vector<std::string>& files, BadLines& bad) {
  std::vector<Piece> pieces;
  for (const std::string& file : files) {
    LineReader lines(file);
    for (std::string_view line; lines.next(line);) {
      Piece piece;
      std::string_view wrong;
      bool good = true;
      for (const std::string_view step : split_line(line, ' '))
        if (good && !parse_chord(step, piece.steps.emplace_back())) good = false, wrong = step.substr(0, 40);
      if (!good)
        bad.report(lines.place(), fmt::format("'{}' is no step: notes {} .. {} joined by commas, or - for silence",
                                              printable(wrong), lowest_note, highest_note));
      else if (piece.length() < 2)
        bad.report(lines.place(), "a piece has at least two steps");
      else
        pieces.push_back(std::move(piece));
    }
  }
  return pieces;
}

void write_pieces(const std::string& path, Index count, Rng& rng) {
  std::ofstream out(path);
  constexpr std::array<std::array<int, 4>, 4> cadence{
      {{0, 16, 19, 24}, {-3, 12, 16, 24}, {-7, 12, 17, 21}, {-5, 11, 19, 23}}};
  for (Index i = 0; i < count; ++i) {
    const int tonic = 48 + static_cast<int>(rng.below(12));
    const Index steps = 12 + rng.below(20), begin = rng.below(4);
    std::vector<Chord> piece;
    for (Index t = 0; t < steps; ++t) {
      Chord& chord = piece.emplace_back();
      for (const int interval : cadence[static_cast<std::size_t>((begin + t) % 4)]) chord.push_back(tonic + interval);
    }
    out << text_of(piece) << "\n";
  }
  out.close();
  require<FileError>(out.flush().good(), "{} cannot be written", path);
}

}  // namespace unroll::inline UNROLL_ISA
