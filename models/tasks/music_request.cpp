#include <unroll/models/tasks/music_request.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/ranges.h>

#include <unroll/autograd/tensor/error.h>
#include <unroll/models/data/files.h>
#include <unroll/models/data/numbers.h>

namespace unroll::inline UNROLL_ISA {
namespace {

template <class N>
bool parse_number(std::string_view text, N& value) {
  const auto number = number_of<N>(text);
  value = number.value_or(value);
  return number.has_value();
}

void check(const MusicRequest& r) {
  require<ValueError>(r.seed >= 0 && r.seed < 0x1p53 && r.seed == std::floor(r.seed), "music: the seed {} is no count",
                      r.seed);
  require<ValueError>(r.steps >= 1 && r.steps <= 1e5 && r.steps == std::floor(r.steps),
                      "music: {} steps are not a count in 1 .. 100000", r.steps);
  require<ValueError>(r.temperature > 0 && std::isfinite(r.temperature), "music: the temperature {} is not positive",
                      r.temperature);
}

}  // namespace

bool parse_chord(std::string_view text, Chord& chord) {
  chord.clear();
  if (text == "-") return true;
  for (const std::string_view part : split_line(text, ',')) {
    int note = 0;
    if (!parse_number(part, note) || note < lowest_note || note > highest_note) return false;
    if (std::find(chord.begin(), chord.end(), note) == chord.end()) chord.push_back(note);
  }
  return true;
}

std::string text_of(std::span<const Chord> steps) {
  std::string text;
  for (const Chord& chord : steps)
    text += fmt::format("{}{}", text.empty() ? "" : " ",
                        chord.empty() ? std::string("-") : fmt::format("{}", fmt::join(chord, ",")));
  return text;
}

MusicRequest::MusicRequest(std::string_view input) {
  const auto words = split_line(input, ' ');
  const bool seed_alone = words.size() == 1 && parse_number(words[0], seed);
  for (const std::string_view word : words) {
    if (word.empty() || seed_alone) continue;
    const auto at = std::min(word.find('='), word.size());
    const std::string_view name = word.substr(0, at);
    double* const value = name == "seed"          ? &seed
                          : name == "steps"       ? &steps
                          : name == "temperature" ? &temperature
                          : name == "tempo"       ? &tempo
                                                  : nullptr;
    Chord chord;
    const bool named = at < word.size();
    const bool good = named ? value != nullptr && parse_number(word.substr(at + 1), *value) : parse_chord(word, chord);
    require<ValueError>(good,
                        "music: '{}' is neither a chord such as 60,64,67 (notes {} .. {}, - for silence) nor seed=, "
                        "steps=, temperature= or tempo= and a number",
                        word, lowest_note, highest_note);
    if (!named) first.push_back(std::move(chord));
  }
  check(*this);
}

}  // namespace unroll::inline UNROLL_ISA
