#pragma once

#include <algorithm>
#include <set>
#include <span>

#include <unroll/autograd/tape/tape.h>
#include <unroll/models/data/files.h>
#include <unroll/models/report.h>

// Examples of a task: in batches, encoded, parted. What a definition D of a task has, supervised_task.h says.

namespace unroll::inline UNROLL_ISA {

/// Calls f(tape, some examples) for all examples, on an inference tape and in batches of like length.
template <class Example, class F>
void for_batches(std::span<const Example> examples, Index batch, F f) {
  std::vector<const Example*> order;
  for (const Example& e : examples) order.push_back(&e);
  std::stable_sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->length() < b->length(); });
  Tape<> tape = Tape<>::inference();
  for (std::size_t first = 0; first < order.size(); first += static_cast<std::size_t>(batch)) {
    tape.rewind();
    const std::size_t count = std::min(static_cast<std::size_t>(batch), order.size() - first);
    f(tape, std::span<const Example* const>(order).subspan(first, count));
  }
}

/// What f(tape, some examples) returns for each of them, in the order of all; called as by for_batches.
template <class Example, class F>
auto map_batches(std::span<const Example> examples, Index batch, F f) {
  std::decay_t<std::invoke_result_t<F, Tape<>&, std::span<const Example* const>>> results(examples.size());
  for_batches(examples, batch, [&](Tape<>& tape, std::span<const Example* const> some) {
    auto found = f(tape, some);
    for (std::size_t i = 0; i < some.size(); ++i)
      results[static_cast<std::size_t>(some[i] - examples.data())] = std::move(found[i]);
  });
  return results;
}

/// How many steps each example has.
template <class Example>
std::vector<Index> lengths_of(std::span<const Example* const> examples) {
  std::vector<Index> lengths;
  for (const Example* e : examples) lengths.push_back(e->length());
  return lengths;
}

/// Encodes examples of a task. One that the symbols are not of is reported to `bad`, with its place, and left out.
template <class D>
void encode_all(std::vector<typename D::Example>& examples, const typename D::Symbols& symbols, BadLines& bad) {
  auto kept = examples.begin();
  for (auto& e : examples) {
    try {
      D::encode(e, symbols);
    } catch (const Error& error) {
      if constexpr (requires { e.place; }) {
        bad.report(e.place, error.what());
        continue;
      } else {
        throw;
      }
    }
    if (&*kept != &e) *kept = std::move(e);
    ++kept;
  }
  examples.erase(kept, examples.end());
}

/// The share between `begin` and `end` of them apart from the rest, drawn by the seed, or counted from the end if
/// they are in order.
template <class D, class Examples = std::vector<typename D::Example>>
std::pair<Examples, Examples> part_examples(Examples all, double begin, double end, std::uint64_t seed) {
  std::vector<std::string> groups;
  std::set<std::string> seen;
  bool ordered = false;
  if constexpr (requires { D::in_order(all); }) ordered = D::in_order(all);
  if (ordered) std::tie(begin, end) = std::pair(1 - end, 1 - begin);
  const auto group_of = [&](const auto& e, std::size_t i) {
    if constexpr (requires { D::group(e); })
      return ordered ? std::to_string(i) : D::group(e);
    else
      return std::to_string(i);
  };
  for (std::size_t i = 0; i < all.size(); ++i)
    if (const std::string group = group_of(all[i], i); seen.insert(group).second) groups.push_back(group);
  const auto place = [&](double share) {  // a share such as 7 / 10 may be a little less
    return static_cast<Index>(share * static_cast<double>(groups.size()) + 1e-6);
  };
  require<ValueError>(place(end - begin) >= 1 && place(end - begin) < place(1),
                      "train: {} examples{} are too few to hold out a share of {:.4g}", all.size(),
                      groups.size() == all.size() ? "" : fmt::format(", of which {} differ,", groups.size()),
                      end - begin);
  Rng rng{seed};
  if (!ordered) shuffle(groups, rng);
  const std::set<std::string> chosen(groups.begin() + place(begin), groups.begin() + place(end));
  Examples rest, part;
  for (std::size_t i = 0; i < all.size(); ++i)
    (chosen.contains(group_of(all[i], i)) ? part : rest).push_back(std::move(all[i]));
  return {std::move(rest), std::move(part)};
}

/// Puts back into `rest` what was held out of it by chance though nothing else has its label: returns whether there
/// is such.
template <class D, class Examples = std::vector<typename D::Example>>
bool take_back(Examples& rest, Examples& held_out, const typename D::Symbols& symbols, Report& report) {
  const auto known = std::stable_partition(held_out.begin(), held_out.end(), [&](typename D::Example e) {
    try {
      D::encode(e, symbols);
      return true;
    } catch (const IndexError&) { return false; }
  });
  if (known == held_out.end()) return false;
  report.warn(
      fmt::format("{} held-out examples have labels that no others have: they are trained on", held_out.end() - known));
  rest.insert(rest.end(), std::make_move_iterator(known), std::make_move_iterator(held_out.end()));
  held_out.erase(known, held_out.end());
  require<ValueError>(!held_out.empty(), "train: nothing is left to validate on");
  return true;
}

}  // namespace unroll::inline UNROLL_ISA
