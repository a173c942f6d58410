#pragma once

#include <charconv>
#include <optional>
#include <string_view>

#include <unroll/autograd/tensor/isa.h>

namespace unroll::inline UNROLL_ISA {

/// A whole text as a number in base ten; nothing if it is none, or beyond what an N can be.
template <class N>
std::optional<N> number_of(std::string_view text) {
  N number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace unroll::inline UNROLL_ISA
