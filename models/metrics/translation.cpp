#include <unroll/models/data/utf8.h>
#include <unroll/models/metrics/tokenize_13a.h>
#include <unroll/models/metrics/translation.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace unroll::inline UNROLL_ISA {

namespace {

constexpr std::string_view version = "2.6.0";  // of the sacreBLEU that the tests compare with

/// Of ASCII.
bool is_punctuation(char c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

/// Symbols side by side in one text, so that an n-gram is a part of it.
struct Pieces {
  std::string text;
  std::vector<std::size_t> begins, ends;

  template <class Symbols>
  Pieces(const Symbols& symbols, std::string_view separator) {
    for (const auto& symbol : symbols) {
      if (!begins.empty()) text += separator;
      begins.push_back(text.size());
      text += symbol;
      ends.push_back(text.size());
    }
  }
  std::size_t size() const { return begins.size(); }
};

using Counts = std::unordered_map<std::string_view, std::int64_t>;

Counts count_ngrams(const Pieces& pieces, std::size_t n) {
  Counts counts;
  const std::string_view text = pieces.text;
  for (std::size_t i = 0; i + n <= pieces.size(); ++i)
    ++counts[text.substr(pieces.begins[i], pieces.ends[i + n - 1] - pieces.begins[i])];
  return counts;
}

std::int64_t count_common(const Counts& a, const Counts& b) {
  std::int64_t common = 0;
  for (const auto& [ngram, count] : a)
    if (const auto found = b.find(ngram); found != b.end()) common += std::min(count, found->second);
  return common;
}

std::int64_t count_possible(const Pieces& pieces, std::size_t n) {
  return pieces.size() < n ? 0 : static_cast<std::int64_t>(pieces.size() - n + 1);
}

void note_references(Index& number, std::size_t references) {
  const auto n = static_cast<Index>(references);
  number = number == 0 || number == n ? n : -1;
}

std::string references_text(Index number) { return number == -1 ? "var" : fmt::format("{}", number); }

void require_segments(const char* what, std::size_t hypotheses, std::size_t references) {
  require<ValueError>(hypotheses == references, "{}: {} hypotheses and references of {} segments", what, hypotheses,
                      references);
}

/// Words with a punctuation mark at the end, or else at the front, set apart.
std::vector<std::string_view> chrf_words(std::string_view text, std::string_view where) {
  std::vector<std::string_view> words;
  for (const std::string_view word : split_words(text, where)) {
    const bool single = detail::character_length(word) == word.size();
    const std::size_t cut = single                         ? 0
                            : is_punctuation(word.back())  ? word.size() - 1
                            : is_punctuation(word.front()) ? 1
                                                           : 0;
    if (cut > 0) words.push_back(word.substr(0, cut));
    words.push_back(word.substr(cut));
  }
  return words;
}

/// What chrF counts in a text: n-grams by order, those of characters first.
struct ChrfCounts {
  Pieces characters, words;
  std::vector<Counts> orders;

  ChrfCounts(std::string_view text, const ChrfOptions& options, std::string_view where)
      : characters(split_words(text, where), ""), words(chrf_words(text, where), " ") {
    characters = Pieces(split_characters(std::string(characters.text), where), "");
    for (int n = 1; n <= options.char_order; ++n)
      orders.push_back(count_ngrams(characters, static_cast<std::size_t>(n)));
    for (int n = 1; n <= options.word_order; ++n) orders.push_back(count_ngrams(words, static_cast<std::size_t>(n)));
  }
  ChrfCounts(const ChrfCounts&) = delete;  // the counts point into the pieces

  std::int64_t possible(std::size_t order, const ChrfOptions& options) const {
    const auto n = static_cast<std::size_t>(options.char_order);
    return order < n ? count_possible(characters, order + 1) : count_possible(words, order - n + 1);
  }
};

}  // namespace

void Bleu::add(std::string_view hypothesis, std::span<const std::string> references) {
  require<ValueError>(!references.empty(), "bleu: a segment without references");
  const Pieces said(tokenize_13a(hypothesis), " ");
  std::vector<Pieces> meant;
  for (const std::string& reference : references) meant.emplace_back(tokenize_13a(reference), " ");
  const auto length = static_cast<std::int64_t>(said.size());
  std::int64_t nearest = static_cast<std::int64_t>(meant[0].size());
  for (const Pieces& reference : meant) {
    const auto n = static_cast<std::int64_t>(reference.size());
    const std::int64_t distance = std::abs(n - length), best = std::abs(nearest - length);
    if (distance < best || (distance == best && n < nearest)) nearest = n;
  }
  for (std::size_t n = 1; n <= total_.size(); ++n) {
    Counts most;
    for (const Pieces& reference : meant)
      for (const auto& [ngram, count] : count_ngrams(reference, n)) {
        std::int64_t& known = most[ngram];
        known = std::max(known, count);
      }
    correct_[n - 1] += count_common(count_ngrams(said, n), most);
    total_[n - 1] += count_possible(said, n);
  }
  length_ += length;
  reference_length_ += nearest;
  note_references(references_, references.size());
}

BleuScore Bleu::score() const {
  require<ValueError>(references_ != 0, "bleu: there are no segments");
  BleuScore result{.correct = correct_, .total = total_, .length = length_, .reference_length = reference_length_};
  if (length_ < reference_length_)
    result.brevity_penalty =
        length_ == 0 ? 0 : std::exp(1 - static_cast<double>(reference_length_) / static_cast<double>(length_));
  if (std::all_of(correct_.begin(), correct_.end(), [](std::int64_t c) { return c == 0; })) return result;
  double smoothing = 1, logarithms = 0;
  std::size_t n = 0;
  for (; n < total_.size() && total_[n] > 0; ++n) {
    const auto all = static_cast<double>(total_[n]);
    result.precisions[n] =
        correct_[n] > 0 ? 100 * static_cast<double>(correct_[n]) / all : 100 / ((smoothing *= 2) * all);
    logarithms += std::log(result.precisions[n]);
  }
  // An order too long for every hypothesis has precision 0.
  if (n == total_.size() || options_.effective_order)
    result.score = result.brevity_penalty * std::exp(logarithms / static_cast<double>(n));
  return result;
}

std::string Bleu::signature() const {
  require<ValueError>(references_ != 0, "bleu: there are no segments");
  return fmt::format("nrefs:{}|case:mixed|eff:{}|tok:13a|smooth:exp|version:{}", references_text(references_),
                     options_.effective_order ? "yes" : "no", version);
}

std::string BleuScore::text(std::string_view signature) const {
  const double ratio = reference_length == 0 ? 0 : static_cast<double>(length) / static_cast<double>(reference_length);
  return fmt::format(
      "BLEU{}{} = {:.2f} {:.1f}/{:.1f}/{:.1f}/{:.1f} (BP = {:.3f} ratio = {:.3f} hyp_len = {} ref_len = {})",
      signature.empty() ? "" : "|", signature, score, precisions[0], precisions[1], precisions[2], precisions[3],
      brevity_penalty, ratio, length, reference_length);
}

BleuScore corpus_bleu(std::span<const std::string> hypotheses, std::span<const std::vector<std::string>> references) {
  require_segments("bleu", hypotheses.size(), references.size());
  Bleu bleu;
  for (std::size_t i = 0; i < hypotheses.size(); ++i) bleu.add(hypotheses[i], references[i]);
  return bleu.score();
}

BleuScore sentence_bleu(std::string_view hypothesis, std::span<const std::string> references) {
  Bleu bleu({.effective_order = true});
  bleu.add(hypothesis, references);
  return bleu.score();
}

Chrf::Chrf(const ChrfOptions& options) : options_(options) {
  require<ValueError>(options.char_order >= 1 && options.char_order <= 100 && options.word_order >= 0 &&
                          options.word_order <= 100 && options.beta >= 1 && options.beta <= 100,
                      "chrf: char_order {}, word_order {} and beta {} are not in 1 to 100, 0 to 100 and 1 to 100",
                      options.char_order, options.word_order, options.beta);
  orders_.resize(static_cast<std::size_t>(options.char_order + options.word_order));
}

void Chrf::add(std::string_view hypothesis, std::span<const std::string> references) {
  require<ValueError>(!references.empty(), "chrf: a segment without references");
  const ChrfCounts said(hypothesis, options_, "chrf: hypothesis");
  std::vector<Matches> best, matches(orders_.size());
  for (const std::string& reference : references) {
    const ChrfCounts meant(reference, options_, "chrf: reference");
    for (std::size_t k = 0; k < matches.size(); ++k) {
      const std::int64_t there = meant.possible(k, options_);
      matches[k] = {there == 0 ? 0 : said.possible(k, options_), there, count_common(said.orders[k], meant.orders[k])};
    }
    if (best.empty() || f_score(matches) > f_score(best)) best = matches;
  }
  for (std::size_t k = 0; k < best.size(); ++k) {
    orders_[k].hypothesis += best[k].hypothesis;
    orders_[k].reference += best[k].reference;
    orders_[k].both += best[k].both;
  }
  note_references(references_, references.size());
}

double Chrf::f_score(std::span<const Matches> orders) const {
  double precision = 0, recall = 0, effective = 0;
  for (const Matches& m : orders) {
    if (m.hypothesis == 0 || m.reference == 0) continue;
    precision += static_cast<double>(m.both) / static_cast<double>(m.hypothesis);
    recall += static_cast<double>(m.both) / static_cast<double>(m.reference);
    ++effective;
  }
  if (precision + recall == 0) return 0;
  precision /= effective;
  recall /= effective;
  const double factor = options_.beta * options_.beta;
  return 100 * (1 + factor) * precision * recall / (factor * precision + recall);
}

double Chrf::score() const {
  require<ValueError>(references_ != 0, "chrf: there are no segments");
  return f_score(orders_);
}

std::string Chrf::signature() const {
  require<ValueError>(references_ != 0, "chrf: there are no segments");
  return fmt::format("nrefs:{}|case:mixed|eff:yes|nc:{}|nw:{}|space:no|version:{}", references_text(references_),
                     options_.char_order, options_.word_order, version);
}

std::string Chrf::text(bool with_signature) const {
  return fmt::format("chrF{}{}{}{} = {:.2f}", options_.beta,
                     std::string(static_cast<std::size_t>(options_.word_order), '+'), with_signature ? "|" : "",
                     with_signature ? signature() : "", score());
}

double corpus_chrf(std::span<const std::string> hypotheses, std::span<const std::vector<std::string>> references,
                   const ChrfOptions& options) {
  require_segments("chrf", hypotheses.size(), references.size());
  Chrf chrf(options);
  for (std::size_t i = 0; i < hypotheses.size(); ++i) chrf.add(hypotheses[i], references[i]);
  return chrf.score();
}

double sentence_chrf(std::string_view hypothesis, std::span<const std::string> references, const ChrfOptions& options) {
  Chrf chrf(options);
  chrf.add(hypothesis, references);
  return chrf.score();
}

}  // namespace unroll::inline UNROLL_ISA
