#include <unroll/layers/pointer_generator.h>

namespace unroll::inline UNROLL_ISA {
namespace {

/// Which of the two ways there are to each target, as masks.
template <Real T>
struct Ways {
  std::span<T> counts, generated, copied;  // [time * batch]
  std::span<T> holds;                      // [time * batch, source time]: the source step holds the target
  std::span<Index> rows;                   // its row; -1 if there is no target
  std::span<std::int32_t> columns;         // of the logits; 0 where the target is not generated
  Index count = 0;

  Ways(Tape<T>& tape, const Shape& logits, const Tokens& source, std::span<const std::int32_t> targets) {
    const auto rows = static_cast<Index>(targets.size()), time = source.time(), batch = source.batch_size();
    counts = tape.template room<T>(rows), generated = tape.template room<T>(rows);
    copied = tape.template room<T>(rows), holds = tape.template room<T>(rows * time);
    columns = tape.template room<std::int32_t>(rows), this->rows = tape.template room<Index>(rows);
    for (std::size_t r = 0; r < targets.size(); ++r) {
      const std::int32_t id = targets[r];
      const bool known = id >= 0 && id < logits.cols();
      bool found = false;
      for (Index s = 0; s < time; ++s) {
        const auto b = static_cast<Index>(r) % batch;
        const bool here = id >= 0 && source.ids[static_cast<std::size_t>(s * batch + b)] == id;
        holds[r * static_cast<std::size_t>(time) + static_cast<std::size_t>(s)] = here ? T(1) : T(0);
        found = found || here;
      }
      tape.template require<ValueError>(
          id < 0 || known || found, "pointer_loss: target {} of row {} is neither among {} symbols nor in its source",
          id, r, logits.cols());
      counts[r] = id >= 0 ? T(1) : T(0);
      generated[r] = known ? T(1) : T(0);
      copied[r] = found ? T(1) : T(0);
      columns[r] = known ? id : 0;
      this->rows[r] = id >= 0 ? static_cast<Index>(r) : -1;
      count += id >= 0;
    }
    tape.template require<ValueError>(count > 0, "pointer_loss: there is no target to average over");
  }
};

}  // namespace

template <Real T>
Var<T> pointer_loss(Var<T> logits, Var<T> gate, Var<T> weights, const Tokens& source,
                    std::span<const std::int32_t> targets) {
  Tape<T>& tape = logits.tape();
  const Shape x = logits.shape(), a = weights.shape(), g = gate.shape();
  tape.template require<ShapeError>(x.rank() == 3 && a == Shape{x[0], x[1], source.time()} &&
                                        source.batch_size() == x[1] && g == Shape{x[0], x[1], 1},
                                    "pointer_loss: logits {}, a gate {}, weights {} and a source {} do not fit", x, g,
                                    a, source.shape);
  const auto rows = static_cast<Index>(targets.size());
  tape.template require<ShapeError>(rows == x[0] * x[1], "pointer_loss: {} targets for logits {}", rows, x);
  const Ways<T> ways(tape, x, source, targets);
  const auto mask = [&](std::span<T> of, const Shape& shape) { return tape.constant(shape, std::span<const T>(of)); };

  // Rows without a target are not read.
  const auto counted = [&](Var<T> v) {
    const Shape flat{rows, v.shape().cols()};
    return gather_rows(reshape(v, flat), ways.rows, flat);
  };
  const Var<T> by_gate = reshape(counted(gate), {rows});
  const Var<T> log_vocabulary = pick(log_softmax(counted(logits)), ways.columns);
  const Var<T> attended = sum(where(mask(ways.holds, {rows, source.time()}), counted(weights), 0), -1);
  // In logarithms, or what is rare beside what cannot be copied would underflow.
  const Var<T> generate = log_sigmoid(by_gate) + log_vocabulary;
  const Var<T> copy = log_sigmoid(-by_gate) + log(maximum(attended, std::numeric_limits<T>::min()));
  const Var<T> both = maximum(generate, copy) + log1p(exp(-abs(generate - copy)));
  const Var<T> either = where(mask(ways.copied, {rows}), copy, generate);
  const Var<T> known_and_copied = mask(ways.generated, {rows}) * mask(ways.copied, {rows});
  const Var<T> log_p = where(known_and_copied, both, either);
  return sum(where(mask(ways.counts, {rows}), -log_p, 0)) * (1.0 / static_cast<double>(ways.count));
}

template Var<float> pointer_loss(Var<float>, Var<float>, Var<float>, const Tokens&, std::span<const std::int32_t>);
template Var<double> pointer_loss(Var<double>, Var<double>, Var<double>, const Tokens&, std::span<const std::int32_t>);

}  // namespace unroll::inline UNROLL_ISA
