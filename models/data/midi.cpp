#include <unroll/models/data/midi.h>

#include <algorithm>
#include <cstring>  // which allegro.h takes for granted
#include <fstream>
#include <sstream>

#include <allegro.h>

#include <unroll/autograd/tensor/error.h>

namespace unroll::inline UNROLL_ISA {
namespace {

constexpr double largest_tempo = 6000;  // a tempo has three bytes of microseconds a quarter note

void check(std::span<const Chord> steps, const MidiOptions& o) {
  require<ValueError>(o.steps_per_minute >= 4 && o.steps_per_minute <= largest_tempo,
                      "midi: {} steps a minute are not in 4 .. {}", o.steps_per_minute, largest_tempo);
  require<ValueError>(o.program >= 0 && o.program < 128, "midi: the instrument {} is not in 0 .. 127", o.program);
  require<ValueError>(o.velocity > 0 && o.velocity < 128, "midi: the velocity {} is not in 1 .. 127", o.velocity);
  for (std::size_t t = 0; t < steps.size(); ++t)
    for (const int note : steps[t])
      require<ValueError>(note >= 0 && note < 128, "midi: the note {} at step {} is not in 0 .. 127", note, t);
}

bool sounds(const Chord& chord, int note) { return std::find(chord.begin(), chord.end(), note) != chord.end(); }

}  // namespace

std::string midi_of(std::span<const Chord> steps, const MidiOptions& options) {
  check(steps, options);
  Alg_seq piece;  // it owns the events that it is given
  piece.convert_to_beats();
  piece.insert_tempo(options.steps_per_minute, 0);
  Alg_update* const instrument = piece.create_update(0, 0, -1);
  instrument->parameter.set_attr(symbol_table.insert_string("programi"));
  instrument->parameter.i = options.program;
  piece.add_event(instrument, 0);
  for (int note = 0; note < 128; ++note)
    for (std::size_t t = 0; t < steps.size(); ++t) {
      const std::size_t first = t;
      while (t < steps.size() && sounds(steps[t], note)) ++t;
      if (t > first)
        piece.add_event(piece.create_note(static_cast<double>(first), 0, note, static_cast<float>(note),
                                          static_cast<float>(options.velocity), static_cast<double>(t - first)),
                        0);
    }
  std::ostringstream out;
  piece.smf_write(out);
  return out.str();
}

void write_midi(const std::string& path, std::span<const Chord> steps, const MidiOptions& options) {
  const std::string content = midi_of(steps, options);
  std::ofstream out(path, std::ios::binary);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  out.close();
  require<FileError>(out.good(), "{} cannot be written", path);
}

}  // namespace unroll::inline UNROLL_ISA
