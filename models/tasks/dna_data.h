#pragma once

#include <unroll/autograd/tensor/rng.h>
#include <unroll/models/tasks/genome.h>

namespace unroll::inline UNROLL_ISA {

/// Of a genome a window with its context; else a sequence of a class.
struct DnaExample : GenomeWindow {
  std::string label;   // empty: of a genome
  std::string place;   // where it was read
  std::string origin;  // the sequence that this one was made from, as an example that is no promoter
  std::int32_t target = -1;

  DnaExample(GenomeWindow window, std::string label, std::string place, std::string origin = {})
      : GenomeWindow(std::move(window)), label(std::move(label)), place(std::move(place)), origin(std::move(origin)) {}
  bool of_genome() const { return label.empty(); }
  Index length() const { return static_cast<Index>(sequence.size()); }
};

/// A sequence that is no promoter but looks like one (Oubounyt et al. 2019, sec. 2.2): of 20 parts of a promoter 12,
/// drawn at random, are replaced by random nucleotides; 8 stay in their places.
std::string without_promoter(std::string sequence, Rng& rng);

/// The sequences of files (see read_nucleotides) with their classes; such without one are promoters, and of each is
/// made an example that is none, the same one whenever it is read. Genomes become windows (see genome_windows). Throws
/// FileError for both together.
std::vector<DnaExample> read_dna(const std::vector<std::string>& files, Index steps, Index context, BadLines& bad);

/// Writes made-up data. "junctions": lines of class, name and sequence; AG|GTAAGT in the middle, (C or T)12 CAG|G in the
/// middle, or neither, in random nucleotides. "promoters": sequences of 300, most of it C and G, with a TATA box.
/// "genome": FASTA with `count` lines of 60; nine of ten nucleotides are those six places before. Throws FileError.
void write_dna(const std::string& path, std::string_view form, Index count, Rng& rng);

}  // namespace unroll::inline UNROLL_ISA
