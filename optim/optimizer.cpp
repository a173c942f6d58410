#include <unroll/optim/optimizer.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include <unroll/autograd/tensor/denormals.h>
#include <unroll/autograd/tensor/simd.h>
#include <unroll/optim/adagrad.h>
#include <unroll/optim/adam.h>
#include <unroll/optim/rmsprop.h>
#include <unroll/optim/sgd.h>

namespace unroll::inline UNROLL_ISA {
namespace {

using detail::Scales;

// One element of each method: x, the gradient g, and what is kept.

template <Real T>
Scales<T> prepare(const SGDMethod::Options& o, std::uint64_t, Scales<T> s) {
  s.a = static_cast<T>(o.momentum);
  s.b = o.nesterov ? T(1) : T(0);
  return s;
}
template <class V, Real T>
void update(SGDMethod, const Scales<T>& s, V& x, V g, std::array<V, 1>& kept) {
  g += V(s.decay) * x;
  kept[0] = V(s.a) * kept[0] + g;
  x -= V(s.rate) * (s.b != 0 ? g + V(s.a) * kept[0] : kept[0]);
}

template <Real T>
Scales<T> prepare(const RMSPropMethod::Options& o, std::uint64_t, Scales<T> s) {
  s.a = static_cast<T>(o.decay);
  s.b = static_cast<T>(1 - o.decay);
  s.c = static_cast<T>(o.epsilon);
  return s;
}
template <class V, Real T>
void update(RMSPropMethod, const Scales<T>& s, V& x, V g, std::array<V, 1>& kept) {
  g += V(s.decay) * x;
  kept[0] = V(s.a) * kept[0] + V(s.b) * g * g;
  x -= V(s.rate) * g / (math::sqrt(kept[0]) + V(s.c));
}

template <Real T>
Scales<T> prepare(const AdagradMethod::Options& o, std::uint64_t, Scales<T> s) {
  s.c = static_cast<T>(o.epsilon);
  return s;
}
template <class V, Real T>
void update(AdagradMethod, const Scales<T>& s, V& x, V g, std::array<V, 1>& kept) {
  g += V(s.decay) * x;
  kept[0] = kept[0] + g * g;
  x -= V(s.rate) * g / (math::sqrt(kept[0]) + V(s.c));
}

/// The corrections for the bias towards zero go into the rate and the scale of the root.
template <Real T, class Options>
Scales<T> prepare_adam(const Options& o, std::uint64_t step, Scales<T> s) {
  const auto t = static_cast<double>(step);
  s.a = static_cast<T>(o.beta1);
  s.b = static_cast<T>(o.beta2);
  s.c = static_cast<T>(o.epsilon);
  s.d = static_cast<T>(1 / std::sqrt(1 - std::pow(o.beta2, t)));
  s.rate = static_cast<T>(static_cast<double>(s.rate) / (1 - std::pow(o.beta1, t)));
  return s;
}
template <class V, Real T>
void update_adam(const Scales<T>& s, V& x, V g, std::array<V, 2>& kept) {
  kept[0] = V(s.a) * kept[0] + V(1 - s.a) * g;
  kept[1] = V(s.b) * kept[1] + V(1 - s.b) * g * g;
  x -= V(s.rate) * kept[0] / (math::sqrt(kept[1]) * V(s.d) + V(s.c));
}

template <Real T>
Scales<T> prepare(const AdamMethod::Options& o, std::uint64_t step, Scales<T> s) {
  return prepare_adam(o, step, s);
}
template <class V, Real T>
void update(AdamMethod, const Scales<T>& s, V& x, V g, std::array<V, 2>& kept) {
  g += V(s.decay) * x;
  update_adam(s, x, g, kept);
}

template <Real T>
Scales<T> prepare(const AdamWMethod::Options& o, std::uint64_t step, Scales<T> s) {
  s.decay = T(1) - s.rate * s.decay;
  return prepare_adam(o, step, s);
}
template <class V, Real T>
void update(AdamWMethod, const Scales<T>& s, V& x, V g, std::array<V, 2>& kept) {
  x *= V(s.decay);
  update_adam(s, x, g, kept);
}

/// One run of elements: clip and update in one pass. What is not kept counts as zero.
template <class V, class Method, bool keep, Real T, std::size_t N>
void update_at(const Scales<T>& s, T* x, const T* g, const std::array<T*, N>& kept, Index i) {
  const auto load = [i](const T* p) {
    if constexpr (std::same_as<V, T>)
      return p[i];
    else
      return V::load_unaligned(p + i);
  };
  const auto store = [i](T* p, V v) {
    if constexpr (std::same_as<V, T>)
      p[i] = v;
    else
      v.store_unaligned(p + i);
  };
  std::array<V, N> k;
  for (std::size_t j = 0; j < N; ++j) k[j] = keep ? load(kept[j]) : V(T(0));
  V value = load(x), d = load(g) * V(s.clip_scale);
  if (s.clip_value > 0) d = math::max(V(-s.clip_value), math::min(V(s.clip_value), d));
  update(Method{}, s, value, d, k);
  store(x, value);
  if constexpr (keep)
    for (std::size_t j = 0; j < N; ++j) store(kept[j], k[j]);
}

/// The same of x[first] to x[end - 1].
template <class Method, bool keep, Real T, std::size_t N>
void update_run(const Scales<T> s, T* x, const T* g, const std::array<T*, N>& kept, Index first, Index end) {
  Index i = first;
  for (; i + lanes<T> <= end; i += lanes<T>) update_at<Batch<T>, Method, keep>(s, x, g, kept, i);
  for (; i < end; ++i) update_at<T, Method, keep>(s, x, g, kept, i);
}

double sum_of_squares(const float* g, Index n) {
  // Blocks keep the float sums short.
  double total = 0;
  for (Index i = 0; i < n; i += 1024) {
    const Index count = std::min<Index>(1024, n - i);
    double sum = static_cast<double>(simd::dot(g + i, g + i, count));
    if (!std::isfinite(sum))  // perhaps beyond a float alone
      sum = std::inner_product(g + i, g + i + count, g + i, 0.0, std::plus(), [](double a, double b) { return a * b; });
    total += sum;
  }
  return total;
}
double sum_of_squares(const double* g, Index n) { return simd::dot(g, g, n); }

template <class Options>
void check_options(const Options& o) {
  require<ValueError>(o.rate >= 0, "optimizer: the rate {} is negative", o.rate);
  require<ValueError>(o.clip >= 0 && o.clip_value >= 0, "optimizer: a bound of clipping is negative");
  require<ValueError>(o.weight_decay >= 0, "optimizer: the weight decay {} is negative", o.weight_decay);
}

}  // namespace

template <Real T, class Method>
Optimizer<T, Method>::Optimizer(std::vector<ParameterGroup<T>> groups, const Options& options) : options_(options) {
  check_options(options);
  for (const ParameterGroup<T>& group : groups)
    for (Parameter<T>* p : group.parameters) {
      for (const Entry& e : entries_)
        require<ValueError>(e.parameter != p, "optimizer: parameter {} is listed twice", p->path());
      Entry entry{p, group.rate_factor, group.weight_decay < 0 ? options.weight_decay : group.weight_decay, {}, {}};
      if (keeps(options))
        for (Tensor<T>& slot : entry.slots) slot = make_tensor<T>(p->shape(), T(0));
      entries_.push_back(std::move(entry));
    }
}

template <Real T, class Method>
double Optimizer<T, Method>::step(Workers* workers) {
  constexpr Index longest = 1 << 16;
  blocks_.clear();
  for (Entry& e : entries_)
    if (!e.parameter->frozen())
      e.parameter->gradient().for_each_run([&](Index offset, Index count) {
        for (Index first = 0; first < count; first += longest)
          blocks_.push_back({&e, offset + first, std::min(longest, count - first), 0});
      });
  const auto block_count = static_cast<Index>(blocks_.size());
  run(workers, block_count, [&](Index i) {
    const FlushDenormals no_denormals;
    Block& b = blocks_[static_cast<std::size_t>(i)];
    b.squares = sum_of_squares(b.entry->parameter->gradient().data() + b.offset, b.count);
  });
  double squares = 0;
  for (const Block& b : blocks_) squares += b.squares;
  const double norm = std::sqrt(squares);
  if (!std::isfinite(norm)) {
    clear_gradients();
    return norm;
  }
  ++steps_;
  const double scale = options_.clip > 0 && norm > options_.clip ? options_.clip / norm : 1;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    Entry& e = *blocks_[i].entry;
    if (i > 0 && &e == blocks_[i - 1].entry) continue;
    e.parameter->edit();
    e.scales = prepare<T>(options_, steps_,
                          {static_cast<T>(options_.rate * e.rate_factor), static_cast<T>(e.weight_decay),
                           static_cast<T>(scale), static_cast<T>(options_.clip_value), 0, 0, 0, 0});
  }
  run(workers, block_count, [&](Index at) {
    const FlushDenormals no_denormals;
    const Block& b = blocks_[static_cast<std::size_t>(at)];
    Entry& e = *b.entry;
    const T* const g = e.parameter->gradient().data();
    T* const x = const_cast<T*>(e.parameter->value().data());
    std::array<T*, Method::slots.size()> kept;
    for (std::size_t j = 0; j < kept.size(); ++j) kept[j] = e.slots[j].data();
    if (keeps(options_))
      update_run<Method, true>(e.scales, x, g, kept, b.offset, b.offset + b.count);
    else
      update_run<Method, false>(e.scales, x, g, kept, b.offset, b.offset + b.count);
  });
  clear_gradients();
  return norm;
}

template <Real T, class Method>
void Optimizer<T, Method>::clear_gradients() {
  for (Entry& e : entries_) e.parameter->clear_grad();
}

template <Real T, class Method>
OptimizerState<T> Optimizer<T, Method>::state() {
  OptimizerState<T> result;
  result.steps = &steps_;
  if (!keeps(options_)) return result;
  for (Entry& e : entries_)
    for (std::size_t j = 0; j < Method::slots.size(); ++j)
      result.tensors.emplace_back(fmt::format("{}/{}", Method::slots[j], e.parameter->path()), &e.slots[j]);
  return result;
}

template class Optimizer<float, SGDMethod>;
template class Optimizer<double, SGDMethod>;
template class Optimizer<float, RMSPropMethod>;
template class Optimizer<double, RMSPropMethod>;
template class Optimizer<float, AdagradMethod>;
template class Optimizer<double, AdagradMethod>;
template class Optimizer<float, AdamMethod>;
template class Optimizer<double, AdamMethod>;
template class Optimizer<float, AdamWMethod>;
template class Optimizer<double, AdamWMethod>;

}  // namespace unroll::inline UNROLL_ISA
