#pragma once

#include <unroll/layers/attention_decoder.h>
#include <unroll/layers/embedding.h>

namespace unroll::inline UNROLL_ISA {
namespace detail {

/// The class of the largest logit of each row.
template <Real T>
std::vector<std::int32_t> likeliest(Var<T> logits) {
  const View<const T> x = values(logits);
  std::vector<std::int32_t> ids;
  for (Index r = 0; r < x.rows; ++r)
    ids.push_back(static_cast<std::int32_t>(std::max_element(x.row(r), x.row(r) + x.cols) - x.row(r)));
  return ids;
}

/// x [time, batch, ...] with zeros behind the end of each row, through which no gradient flows.
template <Real T>
Var<T> valid_steps(Var<T> x, std::span<const Index> lengths) {
  const Shape shape = x.shape();
  const Index rows = shape[0] * shape[1], each = rows == 0 ? 0 : shape.size() / rows;
  const auto table = x.tape().template room<Index>(rows);
  for (Index r = 0; r < rows; ++r)
    table[static_cast<std::size_t>(r)] = r / shape[1] < lengths[static_cast<std::size_t>(r % shape[1])] ? r : -1;
  return unroll::reshape(unroll::gather_rows(unroll::reshape(x, {rows, each}), table, {rows, each}), shape);
}

/// The state of each row after its last step, of those after all steps.
template <Real T, class S>
S last_states(const S& start, std::span<const S> states, std::span<const Index> lengths) {
  int k = 0;
  return map_vars(start, [&](Var<T> first) {
    const auto count = static_cast<Index>(states.size()), batch = first.shape()[0];
    const auto parts = first.tape().template room<Var<T>>(count + 1);
    parts[0] = first;
    for (std::size_t t = 0; t < states.size(); ++t) parts[t + 1] = nth_var<T>(states[t], k);
    ++k;
    const auto rows = first.tape().template room<Index>(batch);
    for (Index b = 0; b < batch; ++b)
      rows[static_cast<std::size_t>(b)] = lengths[static_cast<std::size_t>(b)] * batch + b;
    return unroll::gather_rows(unroll::stack(std::span<const Var<T>>(parts)), rows, first.shape());
  });
}

}  // namespace detail

/// Teacher forcing in which, from the second step on, each input is with probability `own` not the one given but the
/// symbol that the decoder found likeliest one step before (Bengio et al. 2015, section 2.4, where that is 1 -
/// epsilon). `embed` is an embedding of symbols, `head(y)` gives the logits [batch, symbols] of what the decoder puts
/// out. With own = 0 it is the decoder called with the inputs embedded. Throws ValueError unless 0 <= own <= 1.
template <class D, class E, class H>
Decoded<typename D::scalar, typename D::State> scheduled_sampling(const D& decoder, const Tokens& inputs,
                                                                  const typename D::State& start,
                                                                  const AttentionMemory<typename D::scalar>& memory,
                                                                  const E& embed, H head, double own, Rng& rng) {
  using T = typename D::scalar;
  Tape<T>& tape = memory.keys.tape();
  tape.template require<ValueError>(own >= 0 && own <= 1, "scheduled_sampling: the probability {} is not in 0 .. 1",
                                    own);
  if (own == 0 || inputs.time() == 0) return decoder(embed(tape, inputs), start, memory, inputs.lengths);
  const Index time = inputs.time(), batch = inputs.batch_size();
  const auto outputs = tape.template room<Var<T>>(time), weights = tape.template room<Var<T>>(time);
  const auto states = tape.template room<typename D::State>(time);
  auto state = start;
  std::vector<std::int32_t> ids(inputs.ids.begin(), inputs.ids.begin() + batch);
  for (Index t = 0; t < time; ++t) {
    const auto at = static_cast<std::size_t>(t);
    const auto step = decoder.step(embed(tape, ids, Shape{batch}), state, memory, t);
    outputs[at] = step.output, weights[at] = step.weights, states[at] = state = step.state;
    if (t + 1 == time) break;
    const auto found = detail::likeliest<T>(head(step.output));
    for (std::size_t b = 0; b < ids.size(); ++b) {
      const std::int32_t given = inputs.ids[static_cast<std::size_t>((t + 1) * batch) + b];
      ids[b] = rng.uniform() < own && given >= 0 ? found[b] : given;
    }
  }
  const Var<T> ys = stack(std::span<const Var<T>>(outputs)), ws = stack(std::span<const Var<T>>(weights));
  if (inputs.lengths.empty()) return {ys, state, ws};
  return {detail::valid_steps(ys, inputs.lengths),
          detail::last_states<T, typename D::State>(start, states, inputs.lengths),
          detail::valid_steps(ws, inputs.lengths)};
}

}  // namespace unroll::inline UNROLL_ISA
