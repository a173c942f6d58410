#include <unroll/models/data/synthetic.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace unroll::inline UNROLL_ISA {
namespace {

constexpr Index copied = 10, copy_symbols = 8;
constexpr double noise = 0.1;

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

void score(Examples& e, std::int32_t answer) {
  e.classes.push_back(answer);
  e.allowed.push_back(answer < 0 ? 0U : 1U << static_cast<unsigned>(answer));
}

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

// The Reber grammar: from each state two symbols lead on, from the last one alone.

enum Symbol : std::int32_t { B, T, S, X, V, P, E, symbols };

struct Way {
  Symbol symbol;
  int to;
};
constexpr std::array<std::array<Way, 2>, 5> ways{
    {{{{T, 1}, {P, 2}}}, {{{S, 1}, {X, 3}}}, {{{T, 2}, {V, 4}}}, {{{X, 2}, {S, 5}}}, {{{P, 3}, {V, 5}}}}};
constexpr int last_state = 5;

struct Sentence {
  std::vector<std::int32_t> symbols;
  std::vector<std::uint32_t> allowed;  // what may stand at each place
  void add(std::int32_t symbol, std::uint32_t instead = 0) {
    symbols.push_back(symbol);
    allowed.push_back(1U << static_cast<unsigned>(symbol) | instead);
  }
};

constexpr std::uint32_t bit(Symbol s) { return 1U << static_cast<unsigned>(s); }

void add_reber(Sentence& s, Rng& rng) {
  s.add(B);
  for (int state = 0; state != last_state;) {
    const auto& both = ways[static_cast<std::size_t>(state)];
    const Way& way = both[static_cast<std::size_t>(rng.below(2))];
    s.add(way.symbol, bit(both[0].symbol) | bit(both[1].symbol));
    state = way.to;
  }
  s.add(E);
}

template <bool Embedded>
Sentence sentence(Rng& rng, Index longest) {
  for (;;) {
    Sentence s;
    if constexpr (Embedded) {
      const Symbol outer = rng.below(2) == 0 ? T : P;
      s.add(B);
      s.add(outer, bit(T) | bit(P));
      add_reber(s, rng);
      s.add(outer);
      s.add(E);
    } else {
      add_reber(s, rng);
    }
    if (static_cast<Index>(s.symbols.size()) <= longest) return s;
  }
}

template <bool Embedded>
Examples draw_reber(Rng& rng, Index steps, Index batch) {
  std::vector<Sentence> all;
  Index time = 0;
  Examples e;
  for (Index b = 0; b < batch; ++b) {
    all.push_back(sentence<Embedded>(rng, steps));
    e.lengths.push_back(static_cast<Index>(all.back().symbols.size()) - 1);
    time = std::max(time, e.lengths.back());
  }
  e.inputs = make_tensor<float>({time, batch, static_cast<Index>(symbols)}, 0.0F);
  for (Index t = 0; t < time; ++t)
    for (Index b = 0; b < batch; ++b) {
      const Sentence& s = all[static_cast<std::size_t>(b)];
      const auto at = static_cast<std::size_t>(t);
      const bool valid = t < e.lengths[static_cast<std::size_t>(b)];
      if (valid) e.inputs(t, b, static_cast<Index>(s.symbols[at])) = 1;
      e.classes.push_back(valid ? s.symbols[at + 1] : -1);
      e.allowed.push_back(valid ? s.allowed[at + 1] : 0);
    }
  return e;
}

/// Cross entropy of the next symbol given the last one alone, counted.
template <bool Embedded>
double from_last_symbol(Index steps) {
  Rng rng{1};
  std::array<std::array<double, symbols>, symbols> counts{};
  for (int i = 0; i < 20000; ++i) {
    const Sentence s = sentence<Embedded>(rng, steps);
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

struct Entry {
  const char* name;
  Index usual_steps, least_steps;
  SyntheticTask (*make)(Index steps);
};

const std::array entries{
    Entry{"adding", 100, 2,
          [](Index) {
            return SyntheticTask{.features = 2,
                                 .numbers = true,
                                 .learnable = true,
                                 .baseline = 1.0 / 6,
                                 .solved_loss = 0.005,
                                 .draw_examples = draw_adding};
          }},
    Entry{"copy", 50, 1,
          [](Index steps) {
            return SyntheticTask{.features = copy_symbols + 2,
                                 .outputs = copy_symbols + 1,
                                 .learnable = true,
                                 .baseline = static_cast<double>(copied) * std::log(static_cast<double>(copy_symbols)) /
                                             static_cast<double>(steps + 2 * copied),
                                 .solved_share = 0.99,
                                 .draw_examples = draw_copy};
          }},
    Entry{"parity", 50, 1,
          [](Index) {
            return SyntheticTask{.outputs = 2,
                                 .learnable = true,
                                 .baseline = std::numbers::ln2,
                                 .solved_share = 0.99,
                                 .draw_examples = draw_parity};
          }},
    Entry{"reber", 30, 5,
          [](Index steps) {
            return SyntheticTask{.features = symbols,
                                 .outputs = symbols,
                                 .baseline = from_last_symbol<false>(steps),
                                 .solved_share = 0.99,
                                 .draw_examples = draw_reber<false>};
          }},
    Entry{"embedded-reber", 30, 9,
          [](Index steps) {
            return SyntheticTask{.features = symbols,
                                 .outputs = symbols,
                                 .baseline = from_last_symbol<true>(steps),
                                 .solved_share = 0.99,
                                 .draw_examples = draw_reber<true>};
          }},
    Entry{"sine", 100, 4,
          [](Index) {
            return SyntheticTask{.numbers = true,
                                 .baseline = 0.5 + noise * noise,
                                 .solved_loss = 1.5 * noise * noise,
                                 .draw_examples = draw_sine};
          }},
};

}  // namespace

const std::vector<std::string>& synthetic_task_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Entry& entry : entries) list.emplace_back(entry.name);
    return list;
  }();
  return names;
}

SyntheticTask synthetic_task(const std::string& name, Index steps) {
  constexpr Index most = 1 << 20;
  for (const Entry& entry : entries) {
    if (entry.name != name) continue;
    if (steps == 0) steps = entry.usual_steps;
    require<ValueError>(steps >= entry.least_steps && steps <= most, "{}: {} steps are not in {} .. {}", name, steps,
                        entry.least_steps, most);
    SyntheticTask task = entry.make(steps);
    task.name = name;
    task.steps = steps;
    return task;
  }
  throw ValueError(fmt::format("there is no task \"{}\": {}", name, fmt::join(synthetic_task_names(), ", ")));
}

}  // namespace unroll::inline UNROLL_ISA
