#include <unroll/models/data/synthetic_makers.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numbers>

#include <unroll/models/data/reber.h>

namespace unroll::inline UNROLL_ISA {
namespace {

void score(Examples& e, std::int32_t answer) {
  e.classes.push_back(answer);
  e.allowed.push_back(answer < 0 ? 0U : 1U << static_cast<unsigned>(answer));
}

/// Which of `symbols` is at each place.
std::vector<Index> places_of(std::string_view text, std::string_view symbols) {
  std::vector<Index> places;
  for (const char c : text) {
    const std::size_t k = symbols.find(c);
    require<ValueError>(k != symbols.npos, "'{}' is none of {}", c, symbols);
    places.push_back(static_cast<Index>(k));
  }
  require<ValueError>(!places.empty(), "there is nothing on the line");
  return places;
}

/// The symbol of each step of a row, of which there is one feature each.
std::string symbols_of(const Examples& e, Index row, Index steps, std::string_view symbols) {
  std::string text;
  for (Index t = 0; t < steps; ++t)
    for (std::size_t k = 0; k < symbols.size(); ++k)
      if (e.inputs(t, row, static_cast<Index>(k)) == 1) text += symbols[k];
  return text;
}

std::string likeliest(View<const float> logits, std::string_view symbols) {
  std::string text;
  for (Index i = 0; i < logits.rows; ++i)
    text +=
        symbols[static_cast<std::size_t>(std::max_element(logits.row(i), logits.row(i) + logits.cols) - logits.row(i))];
  return text;
}

constexpr Index copied = 10, copy_symbols = 8;

Examples draw_copy(Rng& rng, Index steps, Index batch) {
  const Index time = steps + 2 * copied, blank = copy_symbols, begin = copy_symbols + 1;
  Examples e;
  e.inputs = make_tensor<float>({time, batch, copy_symbols + 2}, 0.0F);
  std::vector<Index> symbols;
  for (Index i = 0; i < copied * batch; ++i) symbols.push_back(rng.below(copy_symbols));
  for (Index t = 0; t < time; ++t)
    for (Index b = 0; b < batch; ++b) {
      const auto symbol = [&](Index i) { return symbols[static_cast<std::size_t>(i * batch + b)]; };
      e.inputs(t, b, t < copied ? symbol(t) : t == copied + steps - 1 ? begin : blank) = 1;
      score(e, static_cast<std::int32_t>(t < copied + steps ? blank : symbol(t - copied - steps)));
    }
  return e;
}

constexpr std::string_view copy_alphabet = "01234567.>";
constexpr TextForm copy_text{
    "ten symbols of 0 .. 7, blanks, and the sign to begin, as 3141526507....>",
    [](const Examples& e, Index row) { return symbols_of(e, row, e.time() - copied, copy_alphabet); },
    [](std::string_view line, bool whole) {
      const std::vector<Index> symbols = places_of(line, copy_alphabet);
      const auto given = static_cast<Index>(symbols.size()), last = given - 1;
      for (Index t = 0; t < given; ++t) {
        const Index s = symbols[static_cast<std::size_t>(t)];
        require<ValueError>(t < copied ? s < copy_symbols : s == copy_symbols + (t == last ? 1 : 0),
                            "'{}' is at place {} of ten symbols of 0 .. 7, blanks as '.', and '>'",
                            line[static_cast<std::size_t>(t)], t + 1);
      }
      require<ValueError>(given > copied, "ten symbols, blanks as '.', and '>' are more than {}", given);
      Examples e;
      e.inputs = make_tensor<float>({given + copied, 1, copy_symbols + 2}, 0.0F);
      for (Index t = 0; t < e.time(); ++t) {
        e.inputs(t, 0, t < given ? symbols[static_cast<std::size_t>(t)] : copy_symbols) = 1;
        score(e, static_cast<std::int32_t>(t < given ? copy_symbols : symbols[static_cast<std::size_t>(t - given)]));
      }
      if (!whole) e.first = given;
      return e;
    },
    [](View<const float> logits) { return likeliest(logits, copy_alphabet); }};

Examples draw_parity(Rng& rng, Index steps, Index batch) {
  Examples e;
  e.inputs = make_tensor<float>({steps, batch, 1}, 0.0F);
  std::vector<std::int32_t> odd(static_cast<std::size_t>(batch), 0);
  for (Index t = 0; t < steps; ++t)
    for (Index b = 0; b < batch; ++b) {
      const bool one = rng.uniform() < 0.5;
      e.inputs(t, b, 0) = one ? 1.0F : 0.0F;
      std::int32_t& is_odd = odd[static_cast<std::size_t>(b)];
      if (one) is_odd = 1 - is_odd;
      score(e, is_odd);
    }
  return e;
}

constexpr TextForm parity_text{"bits, as 0110",
                               [](const Examples& e, Index row) {
                                 std::string bits;
                                 for (Index t = 0; t < e.time(); ++t) bits += e.inputs(t, row, 0) == 1 ? '1' : '0';
                                 return bits;
                               },
                               [](std::string_view line, bool) {
                                 const std::vector<Index> bits = places_of(line, "01");
                                 Examples e;
                                 e.inputs = make_tensor<float>({static_cast<Index>(bits.size()), 1, 1}, 0.0F);
                                 std::int32_t odd = 0;
                                 for (Index t = 0; t < e.time(); ++t) {
                                   const Index one = bits[static_cast<std::size_t>(t)];
                                   e.inputs(t, 0, 0) = static_cast<float>(one);
                                   score(e, odd = one == 1 ? 1 - odd : odd);
                                 }
                                 return e;
                               },
                               [](View<const float> logits) { return likeliest(logits, "01"); }};

template <bool Embedded>
ReberString string_of_length(Rng& rng, Index longest) {
  for (;;)
    if (ReberString s = draw_reber(rng, Embedded); static_cast<Index>(s.symbols.size()) <= longest) return s;
}

/// The next symbol is to be said at each step, but for the last, where `whole`.
Examples examples_of(const std::vector<ReberString>& strings, bool whole) {
  const auto batch = static_cast<Index>(strings.size());
  Index time = 0;
  Examples e;
  for (const ReberString& s : strings) {
    e.lengths.push_back(static_cast<Index>(s.symbols.size()) - (whole ? 1 : 0));
    time = std::max(time, e.lengths.back());
  }
  e.inputs = make_tensor<float>({time, batch, static_cast<Index>(reber_symbols.size())}, 0.0F);
  for (Index t = 0; t < time; ++t)
    for (Index b = 0; b < batch; ++b) {
      const ReberString& s = strings[static_cast<std::size_t>(b)];
      const auto at = static_cast<std::size_t>(t);
      const bool valid = t < e.lengths[static_cast<std::size_t>(b)];
      if (valid) e.inputs(t, b, static_cast<Index>(s.symbols[at])) = 1;
      if (!whole) continue;
      e.classes.push_back(valid ? s.symbols[at + 1] : -1);
      e.allowed.push_back(valid ? s.allowed[at + 1] : 0);
    }
  if (!whole) e.first = time - 1;
  return e;
}

template <bool Embedded>
Examples draw_strings(Rng& rng, Index steps, Index batch) {
  std::vector<ReberString> all;
  for (Index b = 0; b < batch; ++b) all.push_back(string_of_length<Embedded>(rng, steps));
  return examples_of(all, true);
}

/// Cross entropy of the next symbol given the last one alone, counted.
template <bool Embedded>
double from_last_symbol(Index steps) {
  Rng rng{1};
  std::array<std::array<double, reber_symbols.size()>, reber_symbols.size()> counts{};
  for (int i = 0; i < 20000; ++i) {
    const ReberString s = string_of_length<Embedded>(rng, steps);
    for (std::size_t t = 0; t + 1 < s.symbols.size(); ++t)
      ++counts[static_cast<std::size_t>(s.symbols[t])][static_cast<std::size_t>(s.symbols[t + 1])];
  }
  double nats = 0, total = 0;
  for (const auto& row : counts) {
    double of_row = 0;
    for (const double n : row) of_row += n;
    for (const double n : row)
      if (n > 0) nats -= n * std::log(n / of_row);
    total += of_row;
  }
  return nats / total;
}

template <bool Embedded>
constexpr TextForm reber_text{
    Embedded ? "strings of the embedded Reber grammar, as BTBTXSETE" : "strings of the Reber grammar, as BTXSE",
    [](const Examples& e, Index row) {
      return symbols_of(e, row, e.lengths[static_cast<std::size_t>(row)], reber_symbols) + 'E';
    },
    [](std::string_view line, bool whole) { return examples_of({parse_reber(line, Embedded, whole)}, whole); },
    [](View<const float> logits) {
      const float* const last = logits.row(logits.rows - 1);
      std::vector<std::pair<double, char>> likely;
      const float largest = *std::max_element(last, last + logits.cols);
      double total = 0;
      for (std::size_t k = 0; k < reber_symbols.size(); ++k) {
        likely.emplace_back(std::exp(static_cast<double>(last[k] - largest)), reber_symbols[k]);
        total += likely.back().first;
      }
      std::ranges::sort(likely, std::greater<>());
      std::string text;
      for (const auto& [weight, symbol] : likely)
        if (weight >= 0.05 * total)
          text += fmt::format("{}{} {:.2f}", text.empty() ? "" : ", ", symbol, weight / total);
      return text;
    }};

template <bool Embedded>
SyntheticTask reber_task() {
  constexpr Index symbols = reber_symbols.size();
  return {.what = Embedded ? "the same, with a symbol to remember from the beginning to the end"
                           : "the next symbol of the Reber grammar",
          .features = symbols,
          .outputs = symbols,
          .solved_share = 0.99,
          .draw_examples = draw_strings<Embedded>,
          .text = &reber_text<Embedded>,
          .baseline_of = from_last_symbol<Embedded>};
}

}  // namespace

namespace detail {

SyntheticTask copy() {
  return {.what = "repeat ten symbols after many blanks",
          .features = copy_symbols + 2,
          .outputs = copy_symbols + 1,
          .learnable = true,
          .solved_share = 0.99,
          .draw_examples = draw_copy,
          .text = &copy_text,
          .baseline_of = [](Index steps) {
            return static_cast<double>(copied) * std::log(static_cast<double>(copy_symbols)) /
                   static_cast<double>(steps + 2 * copied);
          }};
}

SyntheticTask parity() {
  return {.what = "whether the ones so far are odd",
          .outputs = 2,
          .learnable = true,
          .solved_share = 0.99,
          .draw_examples = draw_parity,
          .text = &parity_text,
          .baseline_of = [](Index) { return std::numbers::ln2; }};
}

SyntheticTask reber() { return reber_task<false>(); }
SyntheticTask embedded_reber() { return reber_task<true>(); }

}  // namespace detail

}  // namespace unroll::inline UNROLL_ISA
