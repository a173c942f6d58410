#include <unroll/models/tasks/dna_data.h>

#include <array>
#include <fstream>
#include <numeric>

namespace unroll::inline UNROLL_ISA {

std::string without_promoter(std::string sequence, Rng& rng) {
  constexpr std::size_t parts = 20, replaced = 12;
  std::array<std::size_t, parts> order{};
  std::iota(order.begin(), order.end(), 0U);
  for (std::size_t i = 0; i < replaced; ++i) {
    std::swap(order[i], order[i + static_cast<std::size_t>(rng.below(static_cast<Index>(parts - i)))]);
    const std::size_t last = (order[i] + 1) * sequence.size() / parts;
    for (std::size_t t = order[i] * sequence.size() / parts; t < last; ++t)
      sequence[t] = nucleotides[static_cast<std::size_t>(rng.below(4))];
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

void write_junctions(const std::string& path, Index count, Rng& rng) {
  std::ofstream out(path);
  require<FileError>(out.good(), "{} cannot be written", path);
  for (Index i = 0; i < count; ++i) {
    std::string sequence(60, 'A');
    for (char& c : sequence) c = nucleotides[static_cast<std::size_t>(rng.below(4))];
    const Index kind = rng.below(3);
    if (kind == 0) sequence.replace(28, 8, "AGGTAAGT");
    if (kind == 1) {
      for (std::size_t t = 15; t < 27; ++t) sequence[t] = rng.below(2) == 0 ? 'C' : 'T';
      sequence.replace(27, 4, "CAGG");
    }
    out << fmt::format("{},made-{},{}\n", std::array{"EI", "IE", "N"}[static_cast<std::size_t>(kind)], i, sequence);
  }
  require<FileError>(out.flush().good(), "{} cannot be written", path);
}

}  // namespace unroll::inline UNROLL_ISA
