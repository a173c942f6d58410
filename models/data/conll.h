#pragma once

#include <string>
#include <vector>

#include <unroll/models/data/files.h>

namespace unroll::inline UNROLL_ISA {

/// A sentence whose tokens have tags.
struct TaggedSentence {
  std::vector<std::string> tokens, tags;
};

/// The sentences of files in the columns of CoNLL: a token in a line, its first column the token, its last the tag (IO,
/// BIO or BIOES, as parse_tag reads it), with tabs between them or else spaces; a line of white space ends a sentence.
/// A token -DOCSTART- alone is left out. When all tokens of a file begin with the same two or three small letters and a
/// colon, as in WikiANN (`en:Atlantic`), these are dropped. Reported as malformed are lines with another number of
/// columns than the first of their file, or fewer than two, an empty column, what is not UTF-8, and other tags. Throws
/// FileError.
std::vector<TaggedSentence> read_conll(const std::vector<std::string>& files, BadLines& bad);

/// The tags in BIOES, by the entities that find_entities finds. Throws ValueError for what is not a tag.
std::vector<std::string> to_bioes(const std::vector<std::string>& tags);
/// The same in BIO.
std::vector<std::string> to_bio(const std::vector<std::string>& tags);

}  // namespace unroll::inline UNROLL_ISA
