#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

// How near a translation is to references of it: BLEU and chrF, number by number those of sacreBLEU 2.6.0. Texts are
// UTF-8, as people write them: not tokenized. A hypothesis may be empty.

namespace unroll::inline UNROLL_ISA {

struct BleuOptions {
  // The mean is over the orders that the hypotheses are long enough for, which is for single sentences.
  bool effective_order = false;
};

/// BLEU (Papineni et al. 2002) in 0..100, and what it is made of.
struct BleuScore {
  double score = 0;
  std::array<std::int64_t, 4> correct{}, total{};  // n-grams of the hypotheses, n = 1..4
  std::array<double, 4> precisions{};              // in percent, smoothed
  double brevity_penalty = 1;                      // exp(1 - reference_length / length), at most 1
  std::int64_t length = 0, reference_length = 0;   // in tokens; of the reference nearest in length

  /// As sacreBLEU prints it: `BLEU|SIGNATURE = 41.11 66.7/50.0/33.3/25.0 (BP = 1.000 ...)`.
  std::string text(std::string_view signature = {}) const;
};

/// BLEU over segments that come one by one: brevity_penalty exp(mean of log precisions), with tokens of tokenize_13a,
/// case kept. The k-th order without a match has precision 1 / (2^k total) (exponential smoothing, Chen & Cherry 2014,
/// method 3); without any match BLEU is 0.
class Bleu {
 public:
  explicit Bleu(const BleuOptions& options = {}) : options_(options) {}

  /// Adds a segment with its references, whose number may differ between segments. Throws ValueError, and then adds
  /// nothing, when there are none or a text is not UTF-8.
  void add(std::string_view hypothesis, std::span<const std::string> references);
  /// Throw ValueError when there are no segments.
  BleuScore score() const;
  /// The signature of sacreBLEU: `nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0`.
  std::string signature() const;

 private:
  BleuOptions options_;
  std::array<std::int64_t, 4> correct_{}, total_{};
  std::int64_t length_ = 0, reference_length_ = 0;
  Index references_ = 0;  // of each segment, -1 where they differ
};

/// BLEU of a text; `references` are those of each segment. Throws ValueError for different numbers of segments, none at
/// all, and as Bleu::add does.
BleuScore corpus_bleu(std::span<const std::string> hypotheses, std::span<const std::vector<std::string>> references);
/// BLEU of a sentence, with effective order.
BleuScore sentence_bleu(std::string_view hypothesis, std::span<const std::string> references);

struct ChrfOptions {
  int char_order = 6;
  int word_order = 0;  // 2 is chrF++
  int beta = 2;        // recall counts as beta times precision
};

/// chrF (Popović 2015), chrF++ (Popović 2017) with word_order 2, over segments that come one by one: the F score, in
/// 0..100, of the precision and recall of n-grams, each a mean over the orders that occur on both sides. N-grams are of
/// code points without white space, and of words with punctuation set apart; of several references the one with the
/// largest score counts.
class Chrf {
 public:
  /// Throws ValueError unless 1 <= char_order, 0 <= word_order, both at most 100, and 1 <= beta <= 100.
  explicit Chrf(const ChrfOptions& options = {});

  /// Adds a segment; as Bleu::add.
  void add(std::string_view hypothesis, std::span<const std::string> references);
  /// Throw ValueError when there are no segments.
  double score() const;
  /// The signature of sacreBLEU: `nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0`.
  std::string signature() const;
  /// As sacreBLEU prints it: `chrF2|SIGNATURE = 59.73`.
  std::string text(bool with_signature = true) const;

 private:
  struct Matches {
    std::int64_t hypothesis = 0, reference = 0, both = 0;
  };
  double f_score(std::span<const Matches> orders) const;

  ChrfOptions options_;
  std::vector<Matches> orders_;
  Index references_ = 0;
};

/// chrF of a text or a sentence; errors as those of BLEU.
double corpus_chrf(std::span<const std::string> hypotheses, std::span<const std::vector<std::string>> references,
                   const ChrfOptions& options = {});
double sentence_chrf(std::string_view hypothesis, std::span<const std::string> references,
                     const ChrfOptions& options = {});

}  // namespace unroll::inline UNROLL_ISA
