#include <unroll/models/tasks/genome.h>

#include <algorithm>
#include <cmath>

namespace unroll::inline UNROLL_ISA {
namespace {

std::vector<Index> lengths_of(std::span<const std::string> sequences) {
  std::vector<Index> lengths;
  for (const std::string& s : sequences) lengths.push_back(static_cast<Index>(s.size()));
  return lengths;
}

/// [time * batch] ids; -1 where a letter may be several, and behind the end.
std::vector<std::int32_t> ids_of(std::span<const std::string> sequences, Index time) {
  const std::size_t batch = sequences.size();
  std::vector<std::int32_t> ids(static_cast<std::size_t>(time) * batch, -1);
  for (std::size_t b = 0; b < batch; ++b)
    for (std::size_t t = 0; t < sequences[b].size(); ++t) ids[t * batch + b] = nucleotide_id(sequences[b][t]);
  return ids;
}

}  // namespace

std::vector<GenomeWindow> genome_windows(const std::string& genome, Index steps, Index context) {
  require<ValueError>(steps > 0 && context >= 0, "dna: --steps {} or --context {} is too small", steps, context);
  std::vector<GenomeWindow> windows;
  const auto size = static_cast<Index>(genome.size());
  for (Index at = 0; at < size; at += steps) {
    const Index first = std::max<Index>(0, at - context), last = std::min(size, at + steps);
    const bool known =
        std::any_of(genome.begin() + at, genome.begin() + last, [](char letter) { return nucleotide_id(letter) >= 0; });
    if (known)
      windows.push_back(
          {genome.substr(static_cast<std::size_t>(first), static_cast<std::size_t>(last - first)), at - first});
  }
  return windows;
}

MarkovModel::MarkovModel(Index order) : order_(order), counts_(std::size_t{4} << (2 * order)) {}

void MarkovModel::set_counts(std::vector<Index> counts) {
  require<ValueError>(counts.size() == counts_.size(), "dna: {} counts of a Markov model, not {}", counts.size(),
                      counts_.size());
  counts_ = std::move(counts);
}

/// Calls f(first count of the context or -1, nucleotide).
void MarkovModel::for_each(const GenomeWindow& window, auto f) const {
  Index context = 0, known = 0;
  for (std::size_t i = 0; i < window.sequence.size(); ++i) {
    const std::int32_t id = nucleotide_id(window.sequence[i]);
    if (static_cast<Index>(i) >= window.skip && id >= 0) f(known >= order_ ? 4 * context : -1, id);
    context = (4 * context + std::max(id, 0)) % static_cast<Index>(counts_.size() / 4);
    known = id < 0 ? 0 : known + 1;
  }
}

void MarkovModel::count(const GenomeWindow& window) {
  for_each(window, [&](Index context, Index id) {
    if (context >= 0) ++counts_[static_cast<std::size_t>(context + id)];
  });
}

void MarkovModel::score(const GenomeWindow& window, Likelihood& to) const {
  for_each(window, [&](Index context, Index id) {
    double p = 0.25;
    if (context >= 0) {
      const Index* const counts = counts_.data() + context;
      p = static_cast<double>(counts[id] + 1) / static_cast<double>(counts[0] + counts[1] + counts[2] + counts[3] + 4);
    }
    to.add(-std::log(p));
  });
}

GenomeModel::GenomeModel(const GenomeShape& shape, Rng& rng)
    : dropout_rate(shape.dropout),
      convolution(4, shape.filters, shape.window, rng),
      rnn(4, shape.hidden, rng),
      head(shape.filters + shape.hidden, 4, rng) {}

Var<> GenomeModel::logits(Tape<>& tape, std::span<const std::string> sequences) const {
  // Each is predicted from what stands before it: the inputs are a step late.
  std::vector<std::string> late;
  for (const std::string& s : sequences) late.push_back(" " + s.substr(0, s.size() - 1));
  const std::vector<Index> lengths = lengths_of(sequences);
  const Var<> xs = shares_of(tape, late);
  const Var<> near = relu(convolution(xs, lengths));
  const Var<> far = rnn(xs, lengths);
  return head(dropout(concat(near, far), dropout_rate));
}

Var<> GenomeModel::loss(Tape<>& tape, std::span<const GenomeWindow* const> windows) const {
  std::vector<std::string> sequences;
  for (const GenomeWindow* w : windows)
    sequences.push_back(tape.training() && tape.rng().uniform() < 0.5 ? reverse_complement(w->sequence) : w->sequence);
  const Var<> x = logits(tape, sequences);
  return cross_entropy(x, ids_of(sequences, x.shape()[0]));
}

void GenomeModel::score(Tape<>& tape, std::span<const GenomeWindow* const> windows, Likelihood& to) const {
  std::vector<std::string> sequences;
  for (const GenomeWindow* w : windows) sequences.push_back(w->sequence);
  const Var<> x = logits(tape, sequences);
  std::vector<std::int32_t> ids = ids_of(sequences, x.shape()[0]);
  for (std::size_t i = 0; i < ids.size(); ++i)
    if (static_cast<Index>(i / windows.size()) < windows[i % windows.size()]->skip) ids[i] = -1;
  const auto count = std::count_if(ids.begin(), ids.end(), [](std::int32_t id) { return id >= 0; });
  if (count == 0) return;
  to.add(static_cast<double>(Var<>(cross_entropy(x, ids, {.reduction = Reduction::sum})).item()),
         static_cast<Index>(count));
}

}  // namespace unroll::inline UNROLL_ISA
