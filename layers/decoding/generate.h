#pragma once

#include <unroll/layers/decoding/decoder_step.h>
#include <unroll/layers/decoding/hypothesis.h>
#include <unroll/layers/decoding/sampling.h>

// One symbol after the other, each fed back: the likeliest, or one that is drawn.

namespace unroll::inline UNROLL_ISA {

struct GenerateOptions {
  Index steps = 0;        // at most so many symbols, the end symbol among them
  std::int32_t end = -1;  // the symbol that ends a row; -1: none does
  Index min_steps = 0;    // the end symbol is not chosen in the first so many steps
};

namespace detail {

/// The rows of a batch as they grow.
template <Real T>
class Generation {
 public:
  Generation(const char* op, std::span<const std::int32_t> first, const GenerateOptions& options,
             const SamplingOptions& sampling, Rng* rng);

  bool done() const { return step_ == options_.steps || open_ == 0; }
  std::span<const std::int32_t> tokens() const { return tokens_; }
  std::span<const Index> rows() const { return rows_; }
  /// Chooses each open row's next symbol.
  void advance(View<const T> logits, View<const T> attention);
  std::vector<Hypothesis> result();

 private:
  void choose(std::size_t row, std::span<const T> logits, double u);

  const char* op_;
  GenerateOptions options_;
  SamplingOptions sampling_;
  Rng* rng_;
  Index step_ = 0;
  std::size_t open_;
  std::vector<Index> rows_;
  std::vector<std::int32_t> tokens_;
  std::vector<Hypothesis> found_;
  std::vector<std::vector<double>> attention_;  // of each row, all steps
  std::vector<T> masked_;
};

extern template class Generation<float>;
extern template class Generation<double>;

template <Real T, class State, class Step, class Memory>
std::vector<Hypothesis> generate(const char* op, Tape<T>& tape, const State& initial,
                                 std::span<const std::int32_t> first, Step& step, Generation<T> rows,
                                 const Memory& memory) {
  StepTapes<T> tapes;
  check_on(tape, initial, op);
  check_on(tape, memory, op);
  State state = initial;
  while (!rows.done()) {
    state = tapes.advance(state, rows.rows(), op, static_cast<Index>(first.size()));
    const DecoderOutput<T, State> out = call_step(step, tapes.current(), rows.tokens(), state, tapes.lend(memory));
    rows.advance(checked_logits(out.logits, static_cast<Index>(first.size()), op),
                 checked_attention(out.attention, static_cast<Index>(first.size()), op));
    state = out.state;
  }
  return rows.result();
}

}  // namespace detail

/// The likeliest symbol at each step, for many rows at once; of equal ones the lowest. `first` are the symbols that the
/// rows begin with (they are not part of the result), `state` the states they begin from, arrays [rows, ...] on `tape`.
///
/// step(tape, tokens, state) is the model: it returns a DecoderOutput, or a pair of logits [rows, vocabulary] and the
/// next state, computed on the inference tape that it is given. Values that all steps share (what a decoder attends to)
/// are passed as `memory`, a Var on `tape` or a struct of them; step then gets handles to them as its fourth argument.
/// `tape` itself is left as it was, and the memory that steps take does not grow with their number. A row that has
/// ended goes on being stepped, unseen, until all have.
///
/// Throws ValueError, naming row and step, where a logit is NaN or +infinity, or all are -infinity.
template <Real T, class State, class Step, class Memory = NoMemory>
std::vector<Hypothesis> greedy(Tape<T>& tape, const State& state, std::span<const std::int32_t> first, Step step,
                               const GenerateOptions& options, const Memory& memory = {}) {
  return detail::generate("greedy", tape, state, first, step,
                          detail::Generation<T>("greedy", first, options, {.temperature = 0}, nullptr), memory);
}

/// The same with each symbol drawn as `sampling` says: see draw(). Row b of n takes number t n + b of the random source
/// at step t, whatever becomes of the others. `log_probability` is that under the model itself, of logits that are not
/// tempered or cut.
template <Real T, class State, class Step, class Memory = NoMemory>
std::vector<Hypothesis> sample(Tape<T>& tape, const State& state, std::span<const std::int32_t> first, Step step,
                               const GenerateOptions& options, const SamplingOptions& sampling, Rng& rng,
                               const Memory& memory = {}) {
  return detail::generate("sample", tape, state, first, step,
                          detail::Generation<T>("sample", first, options, sampling, &rng), memory);
}

}  // namespace unroll::inline UNROLL_ISA
