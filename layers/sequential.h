#pragma once

#include <tuple>

#include <unroll/autograd/ops/noise.h>
#include <unroll/layers/model.h>

namespace unroll::inline UNROLL_ISA {

/// Zeroes elements at random while training; see dropout().
struct Dropout {
  double rate = 0.5;

  template <class X>
  auto operator()(const X& x) const {
    return dropout(x, rate);
  }
  static void fields(auto&, auto&&) {}
};

/// A function without parameters as a layer, such as Function{[](auto x) { return relu(x); }}.
template <class F>
struct Function {
  F f;

  template <class X>
  auto operator()(const X& x) const {
    return f(x);
  }
  static void fields(auto&, auto&&) {}
};
template <class F>
Function(F) -> Function<F>;

/// Layers one after the other: the output of each is the input of the next.
template <class... Layers>
struct Sequential {
  std::tuple<Layers...> layers;

  explicit Sequential(Layers... l) : layers(std::move(l)...) {}

  template <class X>
  auto operator()(const X& x) const {
    return run<0>(x);
  }
  static void fields(auto& m, auto&& f) { list<0>(m, f); }

 private:
  template <std::size_t I, class X>
  auto run(const X& x) const {
    if constexpr (I == sizeof...(Layers))
      return x;
    else
      return run<I + 1>(std::get<I>(layers)(x));
  }
  template <std::size_t I>
  static void list(auto& m, auto& f) {
    if constexpr (I < sizeof...(Layers)) {
      f(std::to_string(I).c_str(), std::get<I>(m.layers));
      list<I + 1>(m, f);
    }
  }
};

}  // namespace unroll::inline UNROLL_ISA
