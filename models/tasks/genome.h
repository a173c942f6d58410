#pragma once

#include <unroll/layers/layers.h>
#include <unroll/models/metrics/likelihood.h>
#include <unroll/models/tasks/nucleotides.h>

namespace unroll::inline UNROLL_ISA {

/// A part of a genome, of which the nucleotides from `skip` on are predicted from all before them.
struct GenomeWindow {
  std::string sequence;
  Index skip = 0;
};

/// The windows of a genome, each with `steps` nucleotides to predict behind up to `context` earlier ones; such of which
/// none is known are left out.
std::vector<GenomeWindow> genome_windows(const std::string& genome, Index steps, Index context);

/// A Markov model, p(x | h) = (count(h x) + 1) / (count(h) + 4) with h the `order` nucleotides before: the baseline.
class MarkovModel {
 public:
  explicit MarkovModel(Index order = 4);
  /// Counts, or scores, what each window is to predict. Where a letter of the context may be several, or there is none,
  /// the nucleotide is not counted, and scored 1 / 4.
  void count(const GenomeWindow& window);
  void score(const GenomeWindow& window, Likelihood& to) const;

  Index order() const { return order_; }
  const std::vector<Index>& counts() const { return counts_; }
  void set_counts(std::vector<Index> counts);

 private:
  void for_each(const GenomeWindow& window, auto f) const;

  Index order_;
  std::vector<Index> counts_;  // [4^order, 4]
};

struct GenomeShape {
  Index filters = 64, window = 12, hidden = 64;
  double dropout = 0.3;
};

/// The next nucleotide: a convolution over the last ones and a recurrent layer, side by side. Many to many.
struct GenomeModel {
  double dropout_rate;
  TimeConvolution<> convolution;
  LSTM<> rnn;
  Linear<> head;

  GenomeModel(const GenomeShape& shape, Rng& rng);
  /// [time, batch, 4] of each nucleotide from those before it.
  Var<> logits(Tape<>& tape, std::span<const std::string> sequences) const;
  /// Mean over all nucleotides, in nats. While training half of the windows are read on the other strand.
  Var<> loss(Tape<>& tape, std::span<const GenomeWindow* const> windows) const;
  /// Adds what each window is to predict.
  void score(Tape<>& tape, std::span<const GenomeWindow* const> windows, Likelihood& to) const;
  static void fields(auto& m, auto&& f) { f("convolution", m.convolution), f("rnn", m.rnn), f("head", m.head); }
};

}  // namespace unroll::inline UNROLL_ISA
