#pragma once

#include <layers/compare.h>
#include <unroll/autograd/check/gradients.h>
#include <unroll/layers/attention/additive_attention.h>
#include <unroll/layers/attention/location_attention.h>
#include <unroll/layers/attention/multi_head_attention.h>
#include <unroll/layers/attention/multiplicative_attention.h>

// What the tests of attentions and decoders share.

namespace unroll {

/// A sequence [time, batch, width] with `padding` behind the end of each row.
inline Tensor<double> with_padding(Tensor<double> x, const std::vector<Index>& lengths, double padding) {
  const Shape s = shape_of(x);
  for (Index t = 0; t < s[0]; ++t)
    for (Index b = 0; b < s[1]; ++b)
      if (t >= lengths[static_cast<std::size_t>(b)]) std::fill_n(x.data() + (t * s[1] + b) * s[2], s[2], padding);
  return x;
}

/// f(name, attention) for one of each kind, of queries of width 3 and a source of width 4.
template <class F>
void for_each_attention(F f) {
  Rng rng{7};
  f("additive", AdditiveAttention<double>(3, 4, 5, rng));
  f("general", MultiplicativeAttention<double>(3, 4, rng));
  f("location", LocationAttention<double>(3, 4, 5, rng, {.filters = 2, .window = 3}));
  f("multi-head", MultiHeadAttention<double>(3, 4, 6, 2, rng));
}

inline double at(const Tensor<double>& x, std::initializer_list<Index> index) {
  const Shape s = shape_of(x);
  Index flat = 0;
  int d = 0;
  for (const Index i : index) flat = flat * s[d++] + i;
  return x.data()[flat];
}

}  // namespace unroll
