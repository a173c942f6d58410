#pragma once

#include <unroll/autograd/ops/layout.h>
#include <unroll/autograd/tape/fields.h>

namespace unroll::inline UNROLL_ISA {
namespace detail {

/// Where the results of a checkpointed function lie: those that are parts of others share their memory.
template <Real T>
struct CheckpointResults {
  struct Part {
    std::size_t range;  // which of the ranges it lies in
    Index offset, stride;
    Shape shape;
  };
  std::vector<Var<T>> ranges;
  std::vector<Part> parts;

  void add(Var<T> v) {
    const Node<T>& n = v.tape().checked(v, "checkpoint");
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      const View<const T> whole = values(ranges[i]);
      const Index offset = n.value - whole.data;
      if (whole.data <= n.value && offset + (n.shape.rows() - 1) * n.stride + n.shape.cols() <= whole.size() &&
          n.block == v.tape().node(ranges[i].index()).block) {
        parts.push_back({i, offset, n.stride, n.shape});
        return;
      }
    }
    ranges.push_back(contiguous(v));
    parts.push_back({ranges.size() - 1, 0, v.shape().cols(), v.shape()});
  }
};

/// What the rule of a checkpoint keeps besides inputs and function.
template <Real T>
struct CheckpointKept {
  Rng start;                        // the random source before the first run
  std::span<const Var<T>> results;  // on the outer tape
};

/// A new node per range, with the values of the inner tape; the first lies in `slab` if one is given.
template <Real T>
std::span<const Var<T>> record_results(Tape<T>& tape, std::span<const Var<T>> inputs, std::span<const Var<T>> ranges,
                                       const typename Tape<T>::Slab* slab, Index offset);

/// Backward of the inner tape, from the gradients that arrived at the results. Throws TapeError when the values are not
/// those of the first run.
template <Real T>
void backward_again(Tape<T>& tape, Tape<T>& inner, std::span<const Var<T>> ranges, std::span<const Var<T>> results);

template <Real T, class In, class F>
struct CheckpointRule {
  In inputs;
  F f;
  CheckpointKept<T> kept;

  static void backward(const void* rule, Var<T> y) {
    const auto& self = *static_cast<const CheckpointRule*>(rule);
    Tape<T>& tape = y.tape();
    if (std::none_of(self.kept.results.begin(), self.kept.results.end(), [&](Var<T> r) { return tape.reached(r); }))
      return;
    Tape<T>& inner = tape.inner();
    inner.rng() = self.kept.start;
    const In lent = map_vars(self.inputs, [&](Var<T> v) { return tape.lend(inner, v, tape.wanted(v.index())); });
    CheckpointResults<T> again;
    const auto outputs = self.f(inner, lent);
    for_each_var(outputs, [&](const Var<T>& v) { again.add(v); });
    backward_again<T>(tape, inner, again.ranges, self.kept.results);
    inner.rewind();
  }
  static constexpr Op<T> op{"checkpoint", &backward, nullptr, true};
};

}  // namespace detail

/// f(tape, inputs), of which only inputs and results are kept: backward computes it again, with the same random
/// numbers, and from there (Chen et al. 2016, section 4). `inputs` and what f returns are Vars or structs whose
/// `fields` lists Vars. f gets another tape than this and is called again in backward: it must be trivially copyable,
/// and what it refers to must live until then. With `slab` the first result is computed there. Throws TapeError in
/// backward when f gives other values the second time.
template <Real T, class In, class F>
auto checkpoint(Tape<T>& tape, const In& inputs, F f, const typename Tape<T>::Slab* slab = nullptr, Index offset = 0) {
  static_assert(std::is_trivially_copyable_v<F>, "what a checkpointed function captures must be trivially copyable");
  using Out = decltype(f(tape, inputs));
  if (!tape.training()) return Out(f(tape, inputs));
  // A parameter has its gradient elsewhere: what is lent is a copy.
  const In own = map_vars(inputs, [&](Var<T> v) {
    return tape.parameter_of(v.index()) != nullptr ? detail::broadcast_to(v, v.shape()) : v;
  });
  Tape<T>& inner = tape.inner();
  inner.rng() = tape.rng();
  const In lent = map_vars(own, [&](Var<T> v) { return tape.lend(inner, v, tape.node(v.index()).grad != nullptr); });
  Out out = f(inner, lent);
  detail::CheckpointResults<T> found;
  for_each_var(out, [&](const Var<T>& v) { found.add(v); });

  std::vector<Var<T>> operands;
  for_each_var(own, [&](const Var<T>& v) { operands.push_back(v); });
  for (const Parameter<T>* p : inner.used_parameters()) operands.push_back(tape.use(*p));
  using R = detail::CheckpointRule<T, In, F>;
  const Var<T> holder = tape.append(R::op, Shape{0}, operands);
  const auto results = detail::record_results<T>(tape, operands, found.ranges, slab, offset);
  tape.keep_rule(holder, R{own, f, {tape.rng(), results}});
  tape.rng() = inner.rng();
  std::size_t k = 0;
  for_each_var(out, [&](Var<T>& v) {
    const auto& part = found.parts[k++];
    v = tape.alias("result", results[part.range], part.shape, part.offset, part.stride);
  });
  inner.rewind();
  return out;
}

}  // namespace unroll::inline UNROLL_ISA
