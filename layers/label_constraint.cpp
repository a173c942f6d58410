#include <unroll/layers/label_constraint.h>

#include <string_view>

namespace unroll::inline UNROLL_ISA {
namespace {

/// What a label says: its letter, and the kind of its span.
struct SpanLabel {
  char letter;
  std::string_view kind;

  bool continues() const { return letter == 'I' || letter == 'E'; }
};

std::vector<SpanLabel> read_labels(const std::vector<std::string>& names, std::string_view letters, const char* op) {
  std::vector<SpanLabel> result;
  for (const std::string& name : names) {
    const bool outside = name == "O";
    require<ValueError>(outside || (name.size() > 2 && name[1] == '-' && letters.find(name[0]) != letters.npos),
                        "{}: the label \"{}\" is neither O nor one of {} with - and a kind behind it", op, name,
                        letters);
    result.push_back({name[0], outside ? std::string_view() : std::string_view(name).substr(2)});
  }
  return result;
}

LabelConstraint span_constraint(const std::vector<SpanLabel>& labels, bool closed) {
  LabelConstraint c = LabelConstraint::all(static_cast<Index>(labels.size()));
  // Whether a span goes on behind this label, or, in BIO, may.
  const auto open = [&](const SpanLabel& l) { return l.letter == 'B' || l.letter == 'I'; };
  for (std::size_t to = 0; to < labels.size(); ++to) {
    c.start[to] = !labels[to].continues();
    c.end[to] = !closed || !open(labels[to]);
    for (std::size_t from = 0; from < labels.size(); ++from) {
      const bool goes_on = open(labels[from]) && labels[to].continues() && labels[from].kind == labels[to].kind;
      const bool begins = !labels[to].continues() && !(closed && open(labels[from]));
      c.transitions[from * labels.size() + to] = goes_on || begins;
    }
  }
  return c;
}

}  // namespace

LabelConstraint LabelConstraint::all(Index labels) {
  const auto n = static_cast<std::size_t>(labels);
  return {labels, std::vector<std::uint8_t>(n * n, 1), std::vector<std::uint8_t>(n, 1),
          std::vector<std::uint8_t>(n, 1)};
}

std::vector<std::uint8_t> LabelConstraint::feasible(Index longest) const {
  std::vector<std::uint8_t> result(static_cast<std::size_t>(longest) + 1, 1), reached = start, next(start.size());
  if (empty()) return result;
  for (std::size_t length = 1; length < result.size(); ++length) {
    result[length] = 0;
    for (std::size_t k = 0; k < reached.size(); ++k) result[length] |= reached[k] & end[k];
    std::fill(next.begin(), next.end(), std::uint8_t{0});
    for (std::size_t j = 0; j < reached.size(); ++j)
      for (std::size_t k = 0; reached[j] != 0 && k < next.size(); ++k) next[k] |= transitions[j * next.size() + k];
    if (next == reached) {  // so it stays
      std::fill(result.begin() + static_cast<Index>(length), result.end(), result[length]);
      break;
    }
    reached.swap(next);
  }
  return result;
}

void LabelConstraint::check() const {
  const auto n = static_cast<std::size_t>(labels);
  require<ShapeError>(labels >= 0 && transitions.size() == n * n && start.size() == n && end.size() == n,
                      "label_constraint: {} transitions, {} starts and {} ends for {} labels", transitions.size(),
                      start.size(), end.size(), labels);
}

LabelConstraint bio_constraint(const std::vector<std::string>& names) {
  return span_constraint(read_labels(names, "BI", "bio_constraint"), false);
}

LabelConstraint bioes_constraint(const std::vector<std::string>& names) {
  return span_constraint(read_labels(names, "BIES", "bioes_constraint"), true);
}

}  // namespace unroll::inline UNROLL_ISA
