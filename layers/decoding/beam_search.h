#pragma once

#include <unroll/layers/decoding/beams.h>
#include <unroll/layers/decoding/decoder_step.h>

namespace unroll::inline UNROLL_ISA {

/// The best hypotheses that a beam finds for each source, best first: `best` of them, or fewer where there are no more.
///
/// Hypotheses are ranked by log P / lp + cp (Wu et al. 2016, eq. 14), where lp = ((5 + length) / 6)^length_penalty, the
/// length counting the end symbol, and cp = coverage_penalty sum_i log(min(sum_t a_ti, 1)) over the source's positions
/// i, with a_ti the attention weight at step t. While searching, the `width` best by log P stay open; of the
/// continuations that rank among the best `width`, those with the end symbol are put aside as finished, and others take
/// their places. What is still open after the last step counts as finished, without an end. Of equals that which was
/// found first comes first, then that of the better beam, then that with the lower symbol.
///
/// A source stops early when no open beam can come before the last of its `best` finished ones any more: log P never
/// grows, lp is at most that of the longest sequence, and cp at most 0, so log P / lp(steps) bounds all that may
/// follow.
///
/// `first` are the symbols that the sources begin with, `state` the states, arrays [sources, ...] on `tape`. The model
/// is step(tape, tokens, state), or step(tape, tokens, state, memory), as in greedy(), with sources * width rows at
/// each step: row b * width + k is beam k of source b. Memory has to have as many rows: repeat_rows(memory, width).
///
/// Throws ValueError for a beam wider than the vocabulary, and, naming row and step, where a logit is NaN or +infinity
/// or a beam has no symbol to go on with. A logit of -infinity is a symbol that is never chosen.
template <Real T, class State, class Step, class Memory = NoMemory>
std::vector<std::vector<Hypothesis>> beam_search(Tape<T>& tape, const State& state, std::span<const std::int32_t> first,
                                                 Step step, const BeamOptions& options, const Memory& memory = {}) {
  static constexpr const char* op = "beam_search";
  detail::check_on(tape, state, op);
  detail::check_on(tape, memory, op);
  detail::Beams<T> beams(first, options);
  detail::StepTapes<T> tapes;
  State now = state;
  Index rows = static_cast<Index>(first.size());
  while (!beams.done()) {
    now = tapes.advance(now, beams.parents(), op, rows);
    rows = static_cast<Index>(beams.parents().size());
    const DecoderOutput<T, State> out =
        detail::call_step(step, tapes.current(), beams.tokens(), now, tapes.lend(memory));
    beams.advance(detail::checked_logits(out.logits, rows, op), detail::checked_attention(out.attention, rows, op));
    now = out.state;
  }
  return beams.result();
}

}  // namespace unroll::inline UNROLL_ISA
