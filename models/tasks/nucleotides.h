#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <unroll/autograd/ops/elementwise.h>
#include <unroll/models/data/files.h>

// Sequences of nucleotides in the letters of IUPAC (Cornish-Bowden 1985): A, C, G, T (or U), and R, Y, S, W, K, M, B,
// D, H, V, N for a nucleotide that is one of several.

namespace unroll::inline UNROLL_ISA {

constexpr std::string_view nucleotides = "ACGT";

/// The share of A, C, G and T in a letter: 1 of its own, equal ones of those that it may be. Throws ValueError for
/// another letter than the capital ones of IUPAC.
const std::array<float, 4>& nucleotide_shares(char letter);
/// 0 .. 3 for A, C, G, T, and -1 for a letter that may be several.
std::int32_t nucleotide_id(char letter);
/// The other strand, read in its own direction.
std::string reverse_complement(std::string_view sequence);
/// Capital letters, U as T, without white space. Throws ValueError "'x' is no nucleotide".
std::string parsed_nucleotides(std::string_view text);

/// [time, batch, 4], the shares of each letter; zero for a blank, and behind the end of a sequence.
Var<> shares_of(Tape<>& tape, std::span<const std::string> sequences);

/// A sequence of a file, and what the file says of it.
struct NucleotideRecord {
  std::string name, label;  // no label: none was given
  std::string sequence;
  std::string place;    // "file:12", where it begins
  bool genome = false;  // of a FASTA file
};

/// The sequences of files, whose format is seen from their first line: FASTA (records that begin with '>'), lines of
/// class, name and sequence, or a sequence on each line.
std::vector<NucleotideRecord> read_nucleotides(const std::vector<std::string>& files, BadLines& bad);

}  // namespace unroll::inline UNROLL_ISA
