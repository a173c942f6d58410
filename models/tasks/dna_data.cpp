#include <unroll/models/tasks/dna_data.h>

#include <array>
#include <fstream>
#include <numeric>

namespace unroll::inline UNROLL_ISA {
namespace {

char any_nucleotide(Rng& rng) { return nucleotides[static_cast<std::size_t>(rng.below(4))]; }

std::string random_sequence(std::size_t length, Rng& rng) {
  std::string sequence(length, 'A');
  for (char& c : sequence) c = any_nucleotide(rng);
  return sequence;
}

std::string junction(Index number, Rng& rng) {
  std::string sequence = random_sequence(60, rng);
  const Index kind = rng.below(3);
  if (kind == 0) sequence.replace(28, 8, "AGGTAAGT");
  if (kind == 1) {
    for (std::size_t t = 15; t < 27; ++t) sequence[t] = rng.below(2) == 0 ? 'C' : 'T';
    sequence.replace(27, 4, "CAGG");
  }
  return fmt::format("{},made-{},{}", std::array{"EI", "IE", "N"}[static_cast<std::size_t>(kind)], number, sequence);
}

std::string promoter(Rng& rng) {
  std::string sequence = random_sequence(300, rng);
  for (char& c : sequence)
    if (rng.below(4) > 0) c = rng.below(2) == 0 ? 'C' : 'G';
  return sequence.replace(220, 8, "TATAAAAG");
}

/// 60 nucleotides after those.
std::string genome_line(const std::string& before, Rng& rng) {
  constexpr std::size_t period = 6, length = 60;
  std::string sequence = before.empty() ? random_sequence(period, rng) : before.substr(before.size() - period);
  for (std::size_t t = 0; t < length; ++t) sequence += rng.below(10) > 0 ? sequence[t] : any_nucleotide(rng);
  return sequence.substr(period);
}

}  // namespace

std::string without_promoter(std::string sequence, Rng& rng) {
  constexpr std::size_t parts = 20, replaced = 12;
  std::array<std::size_t, parts> order{};
  std::iota(order.begin(), order.end(), 0U);
  for (std::size_t i = 0; i < replaced; ++i) {
    std::swap(order[i], order[i + static_cast<std::size_t>(rng.below(static_cast<Index>(parts - i)))]);
    const std::size_t last = (order[i] + 1) * sequence.size() / parts;
    for (std::size_t t = order[i] * sequence.size() / parts; t < last; ++t) sequence[t] = any_nucleotide(rng);
  }
  return sequence;
}

std::vector<DnaExample> read_dna(const std::vector<std::string>& files, Index steps, Index context, BadLines& bad) {
  std::vector<DnaExample> examples;
  for (NucleotideRecord& r : read_nucleotides(files, bad)) {
    require<FileError>(examples.empty() || examples[0].of_genome() == r.genome,
                       "{}: a genome and sequences of classes cannot be learned together", files[0]);
    if (r.genome) {
      for (GenomeWindow& window : genome_windows(r.sequence, steps, context))
        examples.push_back({{std::move(window)}, "", r.place});
    } else if (r.label.empty()) {
      // The same one whenever these data are read.
      std::uint64_t seed = 0;
      for (const char c : r.sequence) seed = Rng::bits(seed, static_cast<std::uint64_t>(c));
      Rng rng{seed};
      examples.push_back({{without_promoter(r.sequence, rng)}, "other", r.place, r.sequence});
      examples.push_back({{std::move(r.sequence)}, "promoter", r.place});
    } else {
      examples.push_back({{std::move(r.sequence)}, std::move(r.label), r.place});
    }
  }
  return examples;
}

void write_dna(const std::string& path, std::string_view form, Index count, Rng& rng) {
  std::ofstream out(path);
  require<FileError>(out.good(), "{} cannot be written", path);
  if (form == "genome") out << ">made\n";
  std::string before;  // the last nucleotides of a genome
  for (Index i = 0; i < count; ++i) {
    if (form == "junctions")
      out << junction(i, rng);
    else if (form == "promoters")
      out << promoter(rng);
    else
      out << (before = genome_line(before, rng));
    out << '\n';
  }
  require<FileError>(out.flush().good(), "{} cannot be written", path);
}

}  // namespace unroll::inline UNROLL_ISA
