#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

// How far a transcript is from what was said: edit distances of words and of characters (Levenshtein 1966).

namespace unroll::inline UNROLL_ISA {

/// A step from a reference to a hypothesis. A deletion is of a symbol of the reference, an insertion of one of the
/// hypothesis.
enum class Edit : std::uint8_t { hit, substitution, deletion, insertion };

/// A shortest way from a reference to a hypothesis.
struct Alignment {
  std::vector<std::string> reference, hypothesis;  // words or characters
  std::vector<Edit> edits;                         // in order

  /// Three lines: reference, hypothesis, and below each pair S, D or I, or nothing for a hit; stars stand for what is
  /// missing. `separator` stands between the columns: a blank for words, none for characters. As jiwer shows it.
  std::string text(std::string_view separator = " ") const;
};

/// Aligns two sequences of symbols at the least number of edits. Of several such alignments it takes that of jiwer, so
/// that the counts agree too (beyond some 2000 words or characters a sequence jiwer may take another). Takes a quarter
/// of a byte for each pair of symbols that are not a common beginning or end; throws ValueError for more than 2^34
/// pairs.
Alignment align(std::span<const std::string> reference, std::span<const std::string> hypothesis);

/// Words as they stand between white space; case and punctuation matter. Throws ValueError for text that is not UTF-8.
Alignment align_words(std::string_view reference, std::string_view hypothesis);
/// Code points, blanks included, but no white space at the ends. Throws ValueError for text that is not UTF-8.
Alignment align_characters(std::string_view reference, std::string_view hypothesis);

/// Counts of edits over any number of alignments.
struct EditCounts {
  std::int64_t hits = 0, substitutions = 0, deletions = 0, insertions = 0;

  void add(const Alignment& alignment);
  EditCounts& operator+=(const EditCounts& other);

  std::int64_t errors() const { return substitutions + deletions + insertions; }
  std::int64_t reference_length() const { return hits + substitutions + deletions; }
  std::int64_t hypothesis_length() const { return hits + substitutions + insertions; }
  /// errors / reference_length, which may exceed 1: the word or character error rate. Throws ValueError for an empty
  /// reference, where jiwer gives the number of insertions.
  double error_rate() const;
  /// errors / (hits + errors), the match error rate (Morris, Maier & Green 2004). Throws ValueError as error_rate does.
  double match_error_rate() const;
  /// 1 - hits^2 / (reference_length hypothesis_length): word information lost (the same), 1 for an empty hypothesis.
  /// Throws ValueError as error_rate does.
  double information_lost() const;

  friend bool operator==(const EditCounts&, const EditCounts&) = default;
};

/// Counts over pairs of a reference and a hypothesis; error_rate() of them is that of all pairs together. A reference
/// may be empty. Throws ValueError for different numbers of them, none at all, or text that is not UTF-8.
EditCounts word_errors(std::span<const std::string> references, std::span<const std::string> hypotheses);
EditCounts character_errors(std::span<const std::string> references, std::span<const std::string> hypotheses);

/// The rate of one pair, or of all pairs together. Throw ValueError as word_errors and error_rate do.
double word_error_rate(std::string_view reference, std::string_view hypothesis);
double word_error_rate(std::span<const std::string> references, std::span<const std::string> hypotheses);
double character_error_rate(std::string_view reference, std::string_view hypothesis);
double character_error_rate(std::span<const std::string> references, std::span<const std::string> hypotheses);

}  // namespace unroll::inline UNROLL_ISA
