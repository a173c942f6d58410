#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <unroll/models/data/files.h>

// Texts in two languages, and what they are cut into.

namespace unroll::inline UNROLL_ISA {

/// A sentence and its translation.
struct SentencePair {
  std::string source, target;
};

/// Sentence pairs: of files with a tab in their first line `source<TAB>target`, where a third column (who translated
/// it) is left alone; of others two and two, line by line, the sources in the one and the translations in the other.
/// Reported to `bad`: lines of other columns, without text on a side, that are not UTF-8 or that have no partner.
/// Throws FileError for a file without partner.
std::vector<SentencePair> read_parallel_text(const std::vector<std::string>& files, BadLines& bad);

/// A text in lower case, letter by letter (Unicode's simple mapping). Throws ValueError for text that is not UTF-8.
std::string lower_case(std::string_view text);

/// What a text in a European language is cut into: words, numbers, and other characters one by one. White space goes
/// with what follows it, as `▁` (U+2581), or as itself where it is none of ASCII's; in front of a text stands one more
/// `▁`, so that the first word looks like others. An apostrophe between letters ends a token, a hyphen begins one:
///   ▁l' homme ▁don' t ▁allez -vous ▁( 42 ) .
/// Throws ValueError for text that is not UTF-8.
std::vector<std::string> split_tokens(std::string_view text);

/// The text of tokens. join_tokens(split_tokens(text)) is `text` where ASCII white space is a single space between
/// words and `▁` does not occur (it counts as a space).
std::string join_tokens(std::span<const std::string> tokens);

}  // namespace unroll::inline UNROLL_ISA
