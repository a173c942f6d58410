#include <unroll/models/data/utf8.h>
#include <unroll/models/metrics/transcripts.h>

#include <algorithm>
#include <numeric>
#include <unordered_map>

namespace unroll::inline UNROLL_ISA {

namespace {

using Ids = std::vector<std::uint32_t>;

/// The edit distances' table, of which only the choice at each cell is kept, two bits each.
class Choices {
 public:
  Choices(std::span<const std::uint32_t> reference, std::span<const std::uint32_t> hypothesis)
      : width_(hypothesis.size()) {
    const std::size_t rows = reference.size();
    constexpr std::size_t most = std::size_t{1} << 34;
    require<ValueError>(rows == 0 || width_ <= most / rows, "align: {} and {} symbols are too many", rows, width_);
    packed_.assign(rows * width_ / 4 + 1, 0);
    std::vector<std::uint32_t> above(width_ + 1), row(width_ + 1);  // distances of r - 1 and of r symbols
    std::iota(above.begin(), above.end(), 0u);
    for (std::size_t r = 1; r <= rows; ++r) {
      row[0] = static_cast<std::uint32_t>(r);
      for (std::size_t h = 1; h <= width_; ++h) {
        const std::uint32_t both = above[h - 1] + (reference[r - 1] != hypothesis[h - 1]);
        row[h] = std::min({both, above[h] + 1, row[h - 1] + 1});
        // The order of RapidFuzz, and so of jiwer: a deletion where one is on a shortest way, an insertion where the
        // hypothesis before it is nearer to the longer reference, and else both move.
        const Edit choice = row[h] == above[h] + 1           ? Edit::deletion
                            : row[h - 1] + 1 == above[h - 1] ? Edit::insertion
                                                             : Edit::hit;
        const std::size_t cell = (r - 1) * width_ + h - 1;
        packed_[cell / 4] |= static_cast<std::uint8_t>(static_cast<unsigned>(choice) << 2 * (cell % 4));
      }
      std::swap(above, row);
    }
  }

  /// The choice after r > 0 and h > 0 symbols; `hit` stands for substitutions too.
  Edit at(std::size_t r, std::size_t h) const {
    const std::size_t cell = (r - 1) * width_ + h - 1;
    return static_cast<Edit>(packed_[cell / 4] >> 2 * (cell % 4) & 3);
  }

 private:
  std::size_t width_;
  std::vector<std::uint8_t> packed_;
};

std::vector<Edit> shortest_edits(std::span<const std::uint32_t> reference, std::span<const std::uint32_t> hypothesis) {
  const auto same = std::mismatch(reference.begin(), reference.end(), hypothesis.begin(), hypothesis.end());
  const auto prefix = static_cast<std::size_t>(same.first - reference.begin());
  reference = reference.subspan(prefix);
  hypothesis = hypothesis.subspan(prefix);
  std::vector<Edit> edits;  // backwards
  while (!reference.empty() && !hypothesis.empty() && reference.back() == hypothesis.back()) {
    edits.push_back(Edit::hit);
    reference = reference.first(reference.size() - 1);
    hypothesis = hypothesis.first(hypothesis.size() - 1);
  }
  const Choices choices(reference, hypothesis);
  for (std::size_t r = reference.size(), h = hypothesis.size(); r > 0 || h > 0;) {
    Edit edit = r == 0 ? Edit::insertion : h == 0 ? Edit::deletion : choices.at(r, h);
    if (edit == Edit::hit && reference[r - 1] != hypothesis[h - 1]) edit = Edit::substitution;
    edits.push_back(edit);
    r -= edit != Edit::insertion;
    h -= edit != Edit::deletion;
  }
  edits.insert(edits.end(), prefix, Edit::hit);
  std::reverse(edits.begin(), edits.end());
  return edits;
}

std::vector<std::string> strings(const std::vector<std::string_view>& parts) { return {parts.begin(), parts.end()}; }

std::vector<std::string> characters_of(std::string_view text, std::string_view where) {
  std::vector<std::string_view> characters = split_characters(text, where);
  while (!characters.empty() && detail::is_white_space(characters.back())) characters.pop_back();
  const auto first = std::find_if_not(characters.begin(), characters.end(), detail::is_white_space);
  return {first, characters.end()};
}

template <class Align>
EditCounts count_all(std::span<const std::string> references, std::span<const std::string> hypotheses, Align&& align) {
  require<ValueError>(references.size() == hypotheses.size(), "error rate: {} references and {} hypotheses",
                      references.size(), hypotheses.size());
  require<ValueError>(!references.empty(), "error rate: there are no transcripts");
  EditCounts counts;
  for (std::size_t i = 0; i < references.size(); ++i) counts.add(align(references[i], hypotheses[i]));
  return counts;
}

double rate_of(const Alignment& alignment) {
  EditCounts counts;
  counts.add(alignment);
  return counts.error_rate();
}

void require_reference(const EditCounts& counts) {
  require<ValueError>(counts.reference_length() > 0, "error rate: the reference is empty ({} insertions)",
                      counts.insertions);
}

}  // namespace

Alignment align(std::span<const std::string> reference, std::span<const std::string> hypothesis) {
  std::unordered_map<std::string_view, std::uint32_t> ids;
  const auto numbered = [&](std::span<const std::string> symbols) {
    Ids numbers;
    numbers.reserve(symbols.size());
    for (const std::string& s : symbols)
      numbers.push_back(ids.try_emplace(s, static_cast<std::uint32_t>(ids.size())).first->second);
    return numbers;
  };
  const Ids r = numbered(reference), h = numbered(hypothesis);
  return {{reference.begin(), reference.end()}, {hypothesis.begin(), hypothesis.end()}, shortest_edits(r, h)};
}

Alignment align_words(std::string_view reference, std::string_view hypothesis) {
  return align(strings(split_words(reference, "align: reference")),
               strings(split_words(hypothesis, "align: hypothesis")));
}

Alignment align_characters(std::string_view reference, std::string_view hypothesis) {
  return align(characters_of(reference, "align: reference"), characters_of(hypothesis, "align: hypothesis"));
}

std::string Alignment::text(std::string_view separator) const {
  std::string lines[3] = {"REF: ", "HYP: ", "     "};
  std::size_t r = 0, h = 0;
  for (std::size_t i = 0; i < edits.size(); ++i) {
    const Edit edit = edits[i];
    std::string column[3] = {edit == Edit::insertion ? "" : reference.at(r++),
                             edit == Edit::deletion ? "" : hypothesis.at(h++),
                             std::string(1, " SDI"[static_cast<std::size_t>(edit)])};
    Index width = 1;
    for (const std::string& cell : column) width = std::max(width, count_characters(cell, "alignment"));
    const auto stars = std::string(static_cast<std::size_t>(width), '*');
    if (edit == Edit::insertion) column[0] = stars;
    if (edit == Edit::deletion) column[1] = stars;
    for (std::size_t k = 0; k < 3; ++k) {
      const auto blanks = static_cast<std::size_t>(width - count_characters(column[k]));
      if (i > 0) lines[k] += separator;
      lines[k].append(blanks, ' ') += column[k];
    }
  }
  return lines[0] + '\n' + lines[1] + '\n' + lines[2] + '\n';
}

void EditCounts::add(const Alignment& alignment) {
  for (const Edit edit : alignment.edits) switch (edit) {
      case Edit::hit:
        ++hits;
        break;
      case Edit::substitution:
        ++substitutions;
        break;
      case Edit::deletion:
        ++deletions;
        break;
      case Edit::insertion:
        ++insertions;
        break;
    }
}

EditCounts& EditCounts::operator+=(const EditCounts& other) {
  hits += other.hits;
  substitutions += other.substitutions;
  deletions += other.deletions;
  insertions += other.insertions;
  return *this;
}

double EditCounts::error_rate() const {
  require_reference(*this);
  return static_cast<double>(errors()) / static_cast<double>(reference_length());
}

double EditCounts::match_error_rate() const {
  require_reference(*this);
  return static_cast<double>(errors()) / static_cast<double>(hits + errors());
}

double EditCounts::information_lost() const {
  require_reference(*this);
  if (hypothesis_length() == 0) return 1;
  const auto h = static_cast<double>(hits);
  return 1 - h / static_cast<double>(reference_length()) * (h / static_cast<double>(hypothesis_length()));
}

EditCounts word_errors(std::span<const std::string> references, std::span<const std::string> hypotheses) {
  return count_all(references, hypotheses, align_words);
}

EditCounts character_errors(std::span<const std::string> references, std::span<const std::string> hypotheses) {
  return count_all(references, hypotheses, align_characters);
}

double word_error_rate(std::string_view reference, std::string_view hypothesis) {
  return rate_of(align_words(reference, hypothesis));
}

double word_error_rate(std::span<const std::string> references, std::span<const std::string> hypotheses) {
  return word_errors(references, hypotheses).error_rate();
}

double character_error_rate(std::string_view reference, std::string_view hypothesis) {
  return rate_of(align_characters(reference, hypothesis));
}

double character_error_rate(std::span<const std::string> references, std::span<const std::string> hypotheses) {
  return character_errors(references, hypotheses).error_rate();
}

}  // namespace unroll::inline UNROLL_ISA
