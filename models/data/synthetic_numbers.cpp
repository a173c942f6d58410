#include <unroll/models/data/synthetic_makers.h>

#include <fmt/ranges.h>

#include <cmath>
#include <cstdlib>
#include <numbers>

#include <unroll/models/data/utf8.h>

namespace unroll::inline UNROLL_ISA {
namespace {

constexpr double noise = 0.1;

float number_of(std::string_view text) {
  const std::string copy(text);
  char* end = nullptr;
  const float x = std::strtof(copy.c_str(), &end);
  require<ValueError>(!copy.empty() && end == copy.c_str() + copy.size() && std::isfinite(x), "'{}' is no number",
                      text);
  return x;
}

std::string last_number(View<const float> numbers) { return fmt::format("{:.4f}", numbers.row(numbers.rows - 1)[0]); }

Examples draw_adding(Rng& rng, Index steps, Index batch) {
  Examples e;
  e.inputs = make_tensor<float>({steps, batch, 2}, 0.0F);
  e.numbers = make_tensor<float>({1, batch, 1}, 0.0F);
  e.first = steps - 1;
  for (Index b = 0; b < batch; ++b) {
    for (Index t = 0; t < steps; ++t) e.inputs(t, b, 0) = static_cast<float>(rng.uniform());
    for (const Index t : {rng.below(steps / 2), steps / 2 + rng.below(steps - steps / 2)}) {
      e.inputs(t, b, 1) = 1;
      e.numbers(0, b, 0) += e.inputs(t, b, 0);
    }
  }
  return e;
}

constexpr TextForm adding_text{
    "numbers between spaces, two of them marked, as 0.42*",
    [](const Examples& e, Index row) {
      std::vector<std::string> numbers;
      for (Index t = 0; t < e.time(); ++t)
        numbers.push_back(fmt::format("{}{}", e.inputs(t, row, 0), e.inputs(t, row, 1) == 1 ? "*" : ""));
      return fmt::format("{}", fmt::join(numbers, " "));
    },
    [](std::string_view line, bool) {
      const auto words = split_words(line);
      Examples e;
      e.inputs = make_tensor<float>({static_cast<Index>(words.size()), 1, 2}, 0.0F);
      e.numbers = make_tensor<float>({1, 1, 1}, 0.0F);
      e.first = e.time() - 1;
      int marks = 0;
      for (Index t = 0; t < e.time(); ++t) {
        std::string_view word = words[static_cast<std::size_t>(t)];
        const bool marked = word.ends_with('*');
        if (marked) word.remove_suffix(1);
        e.inputs(t, 0, 0) = number_of(word);
        if (!marked) continue;
        ++marks;
        e.inputs(t, 0, 1) = 1;
        e.numbers(0, 0, 0) += e.inputs(t, 0, 0);
      }
      require<ValueError>(marks == 2, "{} numbers are marked, not 2", marks);
      return e;
    },
    last_number};

Examples draw_sine(Rng& rng, Index steps, Index batch) {
  Examples e;
  e.first = steps / 2;
  e.inputs = make_tensor<float>({steps, batch, 1}, 0.0F);
  e.numbers = make_tensor<float>({steps - e.first, batch, 1}, 0.0F);
  for (Index b = 0; b < batch; ++b) {
    const double turn = 2 * std::numbers::pi / rng.uniform(10.0, 40.0), phase = rng.uniform(0.0, 2 * std::numbers::pi);
    for (Index t = 0; t <= steps; ++t) {
      const auto x = static_cast<float>(std::sin(turn * static_cast<double>(t) + phase) + noise * rng.normal());
      if (t < steps) e.inputs(t, b, 0) = x;
      if (t > e.first) e.numbers(t - 1 - e.first, b, 0) = x;
    }
  }
  return e;
}

constexpr TextForm sine_text{"numbers between spaces",
                             [](const Examples& e, Index row) {
                               std::vector<float> values;
                               for (Index t = 0; t < e.time(); ++t) values.push_back(e.inputs(t, row, 0));
                               values.push_back(e.numbers(e.time() - 1 - e.first, row, 0));
                               return fmt::format("{}", fmt::join(values, " "));
                             },
                             [](std::string_view line, bool whole) {
                               const auto words = split_words(line);
                               const Index steps = static_cast<Index>(words.size()) - (whole ? 1 : 0);
                               require<ValueError>(steps >= 1, "{} steps are too few", steps);
                               Examples e;
                               e.first = whole ? steps / 2 : steps - 1;
                               e.inputs = make_tensor<float>({steps, 1, 1}, 0.0F);
                               e.numbers = make_tensor<float>({steps - e.first, 1, 1}, 0.0F);
                               for (Index t = 0; t < static_cast<Index>(words.size()); ++t) {
                                 const float x = number_of(words[static_cast<std::size_t>(t)]);
                                 if (t < steps) e.inputs(t, 0, 0) = x;
                                 if (whole && t > e.first) e.numbers(t - 1 - e.first, 0, 0) = x;
                               }
                               return e;
                             },
                             last_number};

}  // namespace

namespace detail {

SyntheticTask adding() {
  return {.what = "add the two marked numbers of a sequence",
          .features = 2,
          .numbers = true,
          .learnable = true,
          .solved_loss = 0.005,
          .draw_examples = draw_adding,
          .text = &adding_text,
          .baseline_of = [](Index) { return 1.0 / 6; }};
}

SyntheticTask sine() {
  return {.what = "the next value of a noisy sine",
          .numbers = true,
          .solved_loss = 1.5 * noise * noise,
          .draw_examples = draw_sine,
          .text = &sine_text,
          .baseline_of = [](Index) { return 0.5 + noise * noise; }};
}

}  // namespace detail

}  // namespace unroll::inline UNROLL_ISA
