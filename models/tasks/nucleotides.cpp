#include <unroll/models/tasks/nucleotides.h>

#include <algorithm>

namespace unroll::inline UNROLL_ISA {
namespace {

constexpr std::string_view letters = "ACGTRYSWKMBDHVN", complements = "TGCAYRSWMKVHDBN";
constexpr std::array<std::string_view, letters.size()> meanings{"A",  "C",  "G",   "T",   "AG",  "CT",  "CG",  "AT",
                                                                "GT", "AC", "CGT", "AGT", "ACT", "ACG", "ACGT"};

std::size_t place_of(char letter) {
  const std::size_t place = letters.find(letter);
  require<ValueError>(place != std::string_view::npos, "dna: '{}' is no nucleotide", letter);
  return place;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// Sets `sequence`, or says at the line read last why it cannot be.
bool parse(std::string_view text, const LineReader& lines, BadLines& bad, std::string& sequence) {
  try {
    sequence = parsed_nucleotides(text);
  } catch (const ValueError& error) {
    bad.report(lines.place(), error.what());
    return false;
  }
  if (sequence.empty()) bad.report(lines.place(), "there is no sequence");
  return !sequence.empty();
}

void read_fasta(LineReader& lines, std::string_view line, std::vector<NucleotideRecord>& to, BadLines& bad) {
  const std::size_t before = to.size();
  do {
    if (line.starts_with('>'))
      to.push_back({std::string(trimmed(line.substr(1))), "", "", lines.place(), true});
    else if (std::string part; !trimmed(line).empty() && parse(line, lines, bad, part))
      to.back().sequence += part;
  } while (lines.next(line));
  to.erase(std::remove_if(to.begin() + static_cast<Index>(before), to.end(),
                          [](const NucleotideRecord& r) { return r.sequence.empty(); }),
           to.end());
}

void read_line(std::string_view line, bool labelled, const LineReader& lines, std::vector<NucleotideRecord>& to,
               BadLines& bad) {
  NucleotideRecord record;
  record.place = lines.place();
  if (labelled) {
    const auto parts = split_line(line, ',');
    if (parts.size() != 3 || trimmed(parts[0]).empty()) {
      bad.report(lines.place(), "class,name,sequence is expected");
      return;
    }
    record.label = trimmed(parts[0]);
    record.name = trimmed(parts[1]);
    line = parts[2];
  }
  if (parse(line, lines, bad, record.sequence)) to.push_back(std::move(record));
}

}  // namespace

const std::array<float, 4>& nucleotide_shares(char letter) {
  static const auto table = [] {
    std::array<std::array<float, 4>, letters.size()> shares{};
    for (std::size_t i = 0; i < letters.size(); ++i)
      for (const char c : meanings[i]) shares[i][nucleotides.find(c)] = 1 / static_cast<float>(meanings[i].size());
    return shares;
  }();
  return table[place_of(letter)];
}

std::int32_t nucleotide_id(char letter) {
  const std::size_t id = place_of(letter);
  return id < nucleotides.size() ? static_cast<std::int32_t>(id) : -1;
}

std::string reverse_complement(std::string_view sequence) {
  std::string other(sequence.rbegin(), sequence.rend());
  for (char& c : other) c = complements[place_of(c)];
  return other;
}

std::string parsed_nucleotides(std::string_view text) {
  std::string sequence;
  for (char c : text) {
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') continue;
    const char capital = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    const char letter = capital == 'U' ? 'T' : capital;
    const bool shown = c > ' ' && c <= '~';
    require<ValueError>(letters.find(letter) != std::string_view::npos, "{} is no nucleotide",
                        shown ? fmt::format("'{}'", c) : fmt::format("byte {}", static_cast<unsigned char>(c)));
    sequence += letter;
  }
  return sequence;
}

Var<> shares_of(Tape<>& tape, std::span<const std::string> sequences) {
  std::size_t longest = 0;
  for (const std::string& s : sequences) longest = std::max(longest, s.size());
  const auto batch = static_cast<Index>(sequences.size());
  Tensor<float> x = make_tensor<float>({static_cast<Index>(longest), batch, 4}, 0.0F);
  for (Index b = 0; b < batch; ++b) {
    const std::string& s = sequences[static_cast<std::size_t>(b)];
    for (std::size_t t = 0; t < s.size(); ++t)
      if (s[t] != ' ')
        for (Index k = 0; k < 4; ++k)
          x(static_cast<Index>(t), b, k) = nucleotide_shares(s[t])[static_cast<std::size_t>(k)];
  }
  return tape.constant(x);
}

std::vector<NucleotideRecord> read_nucleotides(const std::vector<std::string>& files, BadLines& bad) {
  std::vector<NucleotideRecord> records;
  for (const std::string& file : files) {
    LineReader lines(file);
    std::string_view line;
    bool more = lines.next(line);
    while (more && trimmed(line).empty()) more = lines.next(line);
    if (!more) continue;
    if (line.starts_with('>')) {
      read_fasta(lines, line, records, bad);
      continue;
    }
    const bool labelled = line.find(',') != std::string_view::npos;
    do {
      if (!trimmed(line).empty()) read_line(line, labelled, lines, records, bad);
    } while (lines.next(line));
  }
  return records;
}

}  // namespace unroll::inline UNROLL_ISA
