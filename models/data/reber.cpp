#include <unroll/models/data/reber.h>

#include <array>
#include <bit>

#include <fmt/ranges.h>

namespace unroll::inline UNROLL_ISA {
namespace {

enum Symbol : std::int32_t { B, T, S, X, V, P, E };

constexpr std::uint32_t bit(std::int32_t s) { return 1U << static_cast<unsigned>(s); }

/// From each state of the grammar two symbols lead on; the last state has none.
struct Way {
  Symbol symbol;
  int to;
};
constexpr std::array<std::array<Way, 2>, 5> ways{
    {{{{T, 1}, {P, 2}}}, {{{S, 1}, {X, 3}}}, {{{T, 2}, {V, 4}}}, {{{X, 2}, {S, 5}}}, {{{P, 3}, {V, 5}}}}};
constexpr int last_state = 5;

/// Where a string stands, symbol by symbol.
class Place {
 public:
  explicit Place(bool embedded) : embedded_(embedded), stage_(embedded ? outer_begin : begin) {}

  /// What may come next; 0 at the end.
  std::uint32_t allowed() const {
    switch (stage_) {
      case outer_begin:
      case begin:
        return bit(B);
      case outer_first:
        return bit(T) | bit(P);
      case inside: {
        const auto& both = ways[static_cast<std::size_t>(state_)];
        return bit(both[0].symbol) | bit(both[1].symbol);
      }
      case outer_last:
        return bit(outer_);
      case end:
      case outer_end:
        return bit(E);
      case over:
        return 0;
    }
    return 0;
  }
  /// `symbol` is allowed.
  void take(std::int32_t symbol) {
    if (stage_ == outer_first) outer_ = symbol;
    if (stage_ == inside) {
      const auto& both = ways[static_cast<std::size_t>(state_)];
      state_ = both[both[0].symbol == symbol ? 0 : 1].to;
      if (state_ != last_state) return;
    }
    stage_ = stage_ == end && !embedded_ ? over : static_cast<Stage>(stage_ + 1);
  }

 private:
  enum Stage : std::uint8_t { outer_begin, outer_first, begin, inside, end, outer_last, outer_end, over };

  bool embedded_;
  Stage stage_;
  int state_ = 0;
  std::int32_t outer_ = T;
};

}  // namespace

ReberString draw_reber(Rng& rng, bool embedded) {
  ReberString s;
  for (Place place(embedded); place.allowed() != 0; place.take(s.symbols.back())) {
    const std::uint32_t allowed = place.allowed();
    const bool later = std::popcount(allowed) > 1 && rng.below(2) == 1;
    s.symbols.push_back(later ? std::bit_width(allowed) - 1 : std::countr_zero(allowed));
    s.allowed.push_back(allowed);
  }
  return s;
}

ReberString parse_reber(std::string_view text, bool embedded, bool whole) {
  ReberString s;
  Place place(embedded);
  const auto choices = [&] {
    std::vector<char> names;
    for (std::size_t k = 0; k < reber_symbols.size(); ++k)
      if ((place.allowed() >> k & 1U) != 0) names.push_back(reber_symbols[k]);
    return names.empty() ? "the string ends" : fmt::format("{} comes", fmt::join(names, " or "));
  };
  for (const char c : text) {
    const std::size_t symbol = reber_symbols.find(c);
    require<ValueError>(symbol != reber_symbols.npos && (place.allowed() >> symbol & 1U) != 0,
                        "after '{}' {}, not '{}'", text.substr(0, s.symbols.size()), choices(), c);
    s.symbols.push_back(static_cast<std::int32_t>(symbol));
    s.allowed.push_back(place.allowed());
    place.take(s.symbols.back());
  }
  require<ValueError>(!s.symbols.empty(), "there is no symbol");
  require<ValueError>(!whole || place.allowed() == 0, "after '{}' {}, and nothing does", text, choices());
  return s;
}

}  // namespace unroll::inline UNROLL_ISA
