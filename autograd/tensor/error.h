#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>

#include <unroll/autograd/tensor/isa.h>

namespace unroll::inline UNROLL_ISA {

/// Base of everything the library throws. Messages are lower-case sentences that start with the operation.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Extents that do not fit together, or that overflow.
struct ShapeError : Error {
  using Error::Error;
};

/// An index or a class label outside its range.
struct IndexError : Error {
  using Error::Error;
};

/// A handle used after its tape was rewound, on another tape, or after its storage was given away.
struct TapeError : Error {
  using Error::Error;
};

/// An option or argument outside its domain.
struct ValueError : Error {
  using Error::Error;
};

/// A file that cannot be read or written, or whose content is not what it should be.
struct FileError : Error {
  using Error::Error;
};

namespace detail {
template <class E, class... Args>
[[noreturn, gnu::noinline, gnu::cold]] void fail(fmt::format_string<Args...> text, Args&&... args) {
  throw E(fmt::format(text, std::forward<Args>(args)...));
}
}  // namespace detail

/// Throws `E` with the formatted message unless `ok`.
template <class E = Error, class... Args>
[[gnu::always_inline]] inline void require(bool ok, fmt::format_string<Args...> text, Args&&... args) {
  if (!ok) [[unlikely]]
    detail::fail<E>(text, std::forward<Args>(args)...);
}

}  // namespace unroll::inline UNROLL_ISA
