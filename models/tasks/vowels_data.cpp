#include <unroll/models/tasks/vowels_data.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>

#include <fmt/format.h>

#include <unroll/autograd/tensor/error.h>
#include <unroll/models/data/numbers.h>

namespace unroll::inline UNROLL_ISA {
namespace {

constexpr Index coefficients = Vowel::coefficients;

/// The numbers of a line, between blanks or another separator; nothing if there is anything else.
template <class T>
std::vector<T> numbers(std::string_view line, char separator = ' ') {
  std::vector<T> values;
  for (const std::string_view part : split_line(line, separator)) {
    if (part.empty()) continue;
    const auto value = number_of<T>(part);
    if (!value) return {};
    values.push_back(*value);
  }
  return values;
}

bool are_counts(const std::vector<Index>& counts) {
  return std::all_of(counts.begin(), counts.end(), [](Index n) { return n > 0 && n < 1 << 24; });
}

Index sum_of(const std::vector<Index>& counts) { return std::accumulate(counts.begin(), counts.end(), Index{0}); }

/// How many utterances of each speaker a file holds, one speaker after the other.
std::vector<Index> speaker_blocks(const std::string& file, Index utterances, Index block, const std::string& said) {
  const std::vector<Index> given = numbers<Index>(said, ',');
  require<ValueError>(are_counts(given) && given.empty() == said.empty(),
                      "vowels: --blocks {}: counts of utterances are expected, such as 31,35,88", said);
  if (!given.empty() && sum_of(given) == utterances) return given;
  const std::string sizes = sizes_beside(file);
  std::vector<Index> blocks;
  if (!is_there(sizes)) {
    require<FileError>(utterances % block == 0, "{}: {} utterances are no blocks of {}{}, and there is no file {}",
                       file, utterances, block,
                       given.empty() ? "" : fmt::format(" nor the {} of --blocks", sum_of(given)), sizes);
    blocks.assign(static_cast<std::size_t>(utterances / block), block);
    return blocks;
  }
  LineReader lines(sizes);
  for (std::string_view line; lines.next(line);) {
    const std::vector<Index> row = numbers<Index>(line);
    require<FileError>(are_counts(row) && (!row.empty() || line.empty()),
                       "{}: the utterances of each speaker are expected", lines.place());
    blocks.insert(blocks.end(), row.begin(), row.end());
  }
  const Index sum = sum_of(blocks);
  require<FileError>(sum == utterances, "{}: there are {} utterances, where {} says {}", file, utterances, sizes, sum);
  return blocks;
}

}  // namespace

std::string sizes_beside(const std::string& file) { return file_beside(file, "size_", ""); }

std::vector<Vowel> read_vowels(const std::string& file, BadLines& bad) {
  std::vector<Vowel> vowels;
  LineReader lines(file);
  bool inside = false;
  for (std::string_view line; lines.next(line);) {
    const std::vector<float> frame = numbers<float>(line);
    const auto all = [&](auto condition) { return std::all_of(frame.begin(), frame.end(), condition); };
    const bool good = frame.size() == coefficients && all([](float v) { return std::abs(v) < 1e6F; });
    if (line.find_first_not_of(" \t") == std::string_view::npos || (good && all([](float v) { return v == 1; }))) {
      inside = false;
      continue;
    }
    if (!inside) vowels.emplace_back().place = lines.place();
    inside = true;
    if (good)
      vowels.back().cepstra.insert(vowels.back().cepstra.end(), frame.begin(), frame.end());
    else
      bad.report(lines.place(), fmt::format("{} numbers are expected", coefficients));
  }
  return vowels;
}

std::vector<Vowel> read_labelled_vowels(const std::vector<std::string>& files, Index block, const std::string& blocks,
                                        BadLines& bad) {
  std::vector<Vowel> all;
  for (const std::string& file : files) {
    std::vector<Vowel> vowels = read_vowels(file, bad);
    auto vowel = vowels.begin();
    const std::vector<Index> counts = speaker_blocks(file, static_cast<Index>(vowels.size()), block, blocks);
    for (std::size_t speaker = 0; speaker < counts.size(); ++speaker)
      for (Index i = 0; i < counts[speaker]; ++i, ++vowel) {
        vowel->label = std::to_string(speaker + 1);
        if (vowel->length() > 0) all.push_back(std::move(*vowel));
      }
  }
  return all;
}

void write_vowels(const std::string& path, Index count, Rng& rng) {
  const std::filesystem::path file(path);
  std::ofstream out(path), sizes(file.parent_path() / ("size_" + file.filename().string()));
  for (Index speaker = 0; speaker < 3; ++speaker) {
    const Index utterances = (count + speaker) / 3;
    if (utterances > 0) sizes << utterances << " ";
    for (Index i = 0; i < utterances; ++i, out << "\n") {
      const Index frames = 7 + rng.below(20);
      for (Index t = 0; t < frames; ++t, out << "\n")
        for (Index k = 0; k < coefficients; ++k) {
          const double share = static_cast<double>(t) / static_cast<double>(frames);
          const double centre = std::cos(static_cast<double>((k + 1) * (speaker + 1)) + share);
          out << fmt::format("{:.6f} ", 0.5 * centre + 0.3 * rng.normal());
        }
    }
  }
  sizes << "\n";
  require<FileError>(out.flush().good() && sizes.flush().good(), "{} cannot be written", path);
}

}  // namespace unroll::inline UNROLL_ISA
