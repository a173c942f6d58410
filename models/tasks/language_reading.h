#pragma once

#include <unroll/autograd/tape/workers.h>
#include <unroll/models/data/files.h>
#include <unroll/models/data/text.h>
#include <unroll/models/tasks/language_model.h>

namespace unroll::inline UNROLL_ISA {

struct ReadingOptions {
  Index lanes = 1;   // pieces that are read side by side; each starts without a past, so the fewer the truer
  Index steps = 64;  // of a window
  Index parts = 1;   // groups of lanes that may be read at the same time
};

/// The content of text files, one after the other. Lines that are not UTF-8 are malformed. Throws FileError.
std::string read_texts(const std::vector<std::string>& files, BadLines& bad);

/// Rows first .. last of a batch of sequences, into memory that is reused.
const Tokens& rows_of(const Tokens& all, Index first, Index last, Tokens& part);

/// Mean -log p, in nats, of the symbols of a text after the first ones of the lanes, and how many they are.
std::pair<double, std::int64_t> read_text_with(const LanguageModel& model, const Text& text,
                                               const ReadingOptions& options, Workers& workers);

}  // namespace unroll::inline UNROLL_ISA
