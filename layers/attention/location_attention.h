#pragma once

#include <unroll/layers/attention/attention.h>
#include <unroll/layers/place.h>

namespace unroll::inline UNROLL_ISA {

/// Attention that sees where it was (Chorowski et al. 2015, eqs. 8 and 9): the weights of the step before are convolved
/// with `filters` filters, f = F * weights, and the score of source step h for a query s is
///   v . tanh(s W + h V + f U + b).
/// Before the first step the weights are zero. The rest is as in AdditiveAttention.
template <Real T = float>
struct LocationAttention {
  using scalar = T;
  Matrix<T> query;     // [query, units]
  Linear<T> key;       // [source, units], with b
  Matrix<T> filters;   // [window, filters]
  Matrix<T> location;  // [filters, units]
  Parameter<T> score;  // [units]

  struct Options {
    Index filters = 10, window = 31;  // the window of weights has its source step in the middle
  };

  /// Throws ValueError for a window that has no middle.
  LocationAttention(Index query_width, Index source_width, Index units, Rng& rng, const Options& options = {})
      : query(init::xavier<T>({query_width, units}, rng)),
        key(init::xavier<T>({source_width, units}, rng), make_tensor<T>({units}, T(0))),
        filters(init::xavier<T>({checked(options).window, options.filters}, rng)),
        location(init::xavier<T>({options.filters, units}, rng)),
        score(init::uniform<T>({units}, 1 / std::sqrt(static_cast<double>(std::max<Index>(1, units))), rng)) {}

  /// source [time, batch, width]. Throws ShapeError when the lengths do not fit it, and ValueError for a row of none.
  AttentionMemory<T> remember(Var<T> source, std::span<const Index> lengths = {}) const {
    const detail::PlaceGuard<T> place(source.tape(), detail::place_of_layer(*this));
    const auto each = detail::source_lengths(source, lengths, width());
    const Var<T> values = detail::batch_major(source, each);
    return {key(values), values, each};
  }
  /// previous: the weights of the step before; none, before the first.
  Attended<T> operator()(const AttentionMemory<T>& memory, Var<T> q, Var<T> previous = {}) const {
    Tape<T>& tape = q.tape();
    const detail::PlaceGuard<T> place(tape, detail::place_of_layer(*this));
    detail::check_query(memory, q, query.weight.shape()[0]);
    if (previous.empty()) previous = tape.zeros(weights_shape(memory));
    tape.template require<ShapeError>(previous.shape() == weights_shape(memory),
                                      "attention: previous weights {} for a memory of weights {}", previous.shape(),
                                      weights_shape(memory));
    const Var<T> features = filters(sliding_windows(previous, filters.weight.shape()[0]));
    const Var<T> keys = addmm(memory.keys, features, location.weight);
    return detail::attend(memory, additive_scores(keys, query(q), score, memory.lengths));
  }
  Shape weights_shape(const AttentionMemory<T>& memory) const { return {memory.batch(), memory.time()}; }
  Index width() const { return key.weight.shape()[0]; }
  static void fields(auto& m, auto&& f) {
    f("query", m.query), f("key", m.key), f("filters", m.filters), f("location", m.location), f("score", m.score);
  }

 private:
  static const Options& checked(const Options& o) {
    require<ValueError>(o.filters > 0 && o.window > 0 && o.window % 2 == 1,
                        "location attention: {} filters of a window of {}: a window is odd, to have a middle",
                        o.filters, o.window);
    return o;
  }
};
static_assert(Attention<LocationAttention<double>>);

}  // namespace unroll::inline UNROLL_ISA
