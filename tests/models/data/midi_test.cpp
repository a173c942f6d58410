#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <map>
#include <stdexcept>

#include <unroll/autograd/tensor/error.h>
#include <unroll/models/data/midi.h>

using namespace unroll;

namespace {

/// What the Standard MIDI File 1.0 specification says of a file, read without the library that wrote it.
struct MidiReader {
  std::string bytes;
  std::size_t at = 0;
  int division = 0, tempo = 0, program = -1, velocity = 0;
  std::map<int, std::vector<long>> changes;  // of each note: ticks at which it begins and ends by turns

  explicit MidiReader(std::string content) : bytes(std::move(content)) {
    if (word(4) != "MThd" || number(4) != 6) throw std::runtime_error("no header");
    number(2);
    const auto tracks = number(2);
    division = static_cast<int>(number(2));
    for (unsigned long i = 0; i < tracks; ++i) track();
    if (at != bytes.size()) throw std::runtime_error("bytes behind the last track");
  }
  std::string word(std::size_t count) { return at += count, bytes.substr(at - count, count); }
  unsigned long number(int count) {
    unsigned long n = 0;
    for (int i = 0; i < count; ++i) n = n << 8 | static_cast<unsigned char>(bytes.at(at++));
    return n;
  }
  unsigned long variable() {
    unsigned long n = 0, byte = 0x80;
    while (byte & 0x80) byte = number(1), n = n << 7 | (byte & 0x7f);
    return n;
  }
  void track() {
    if (word(4) != "MTrk") throw std::runtime_error("no track");
    const auto size = number(4);
    const std::size_t end = at + size;
    long tick = 0;
    unsigned long status = 0;
    while (at < end) {
      tick += static_cast<long>(variable());
      if (static_cast<unsigned char>(bytes.at(at)) & 0x80) status = number(1);
      if (status == 0xff) {
        const auto kind = number(1), length = variable();
        if (kind == 0x51) tempo = static_cast<int>(number(3)), at -= 3;
        at += length;
      } else if (status >> 4 == 0xc) {
        program = static_cast<int>(number(1));
      } else {
        const auto note = static_cast<int>(number(1)), strength = static_cast<int>(number(1));
        if (status >> 4 != 8 && status >> 4 != 9) continue;
        auto& ticks = changes[note];
        const bool begins = status >> 4 == 9 && strength > 0;
        if (begins != (ticks.size() % 2 == 0)) throw std::runtime_error("a note begins or ends twice");
        if (begins) velocity = strength;
        ticks.push_back(tick);
      }
    }
    if (at != end) throw std::runtime_error("a track of another length");
  }
};

}  // namespace

TEST_CASE("midi: notes begin and end with the steps at which they sound, and are held between") {
  const std::vector<Chord> steps{{60, 64, 127}, {60}, {}, {0, 60}};
  const MidiReader file(midi_of(steps, {.steps_per_minute = 120, .program = 52, .velocity = 90}));
  const long q = file.division;
  REQUIRE(q > 0);
  CHECK(file.tempo == 500000);  // microseconds a quarter note
  CHECK(file.program == 52);
  CHECK(file.velocity == 90);
  CHECK(file.changes == std::map<int, std::vector<long>>{
                            {0, {3 * q, 4 * q}}, {60, {0, 2 * q, 3 * q, 4 * q}}, {64, {0, q}}, {127, {0, q}}});
}

TEST_CASE("midi: a long piece comes back as it was") {
  std::vector<Chord> steps(500);
  std::uint32_t bits = 1;
  for (Chord& chord : steps)
    for (int note = 21; note <= 108; ++note)
      if ((bits = bits * 1664525 + 1013904223) >> 30 == 0) chord.push_back(note);
  const MidiReader file(midi_of(steps));
  std::vector<Chord> back(steps.size());
  for (const auto& [note, ticks] : file.changes) {
    REQUIRE(ticks.size() % 2 == 0);
    for (std::size_t i = 0; i < ticks.size(); i += 2)
      for (long t = ticks[i]; t < ticks[i + 1]; t += file.division) {
        REQUIRE(t % file.division == 0);
        back.at(static_cast<std::size_t>(t / file.division)).push_back(note);
      }
  }
  CHECK(back == steps);
}

TEST_CASE("midi: silence is a file, what no file can hold is an error") {
  CHECK(MidiReader(midi_of(std::vector<Chord>(3))).changes.empty());
  const std::vector<Chord> steps{{60}, {128}};
  CHECK_THROWS_WITH_AS(midi_of(steps), "midi: the note 128 at step 1 is not in 0 .. 127", ValueError);
  const std::vector<Chord> good{{60}};
  CHECK_THROWS_AS(midi_of(good, {.steps_per_minute = 0}), ValueError);
  CHECK_THROWS_AS(midi_of(good, {.program = 128}), ValueError);
  CHECK_THROWS_AS(midi_of(good, {.velocity = 0}), ValueError);
  CHECK_THROWS_AS(write_midi("/no/such/folder/piece.mid", good), FileError);
}
