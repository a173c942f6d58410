#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include <unroll/autograd/tensor/error.h>

#if defined(__SANITIZE_ADDRESS__)
#define UNROLL_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNROLL_POISON 1
#endif
#endif

namespace unroll::inline UNROLL_ISA {

/// Memory that is handed out in order, all taken back at once, and never returned to the system before the
/// arena dies: addresses are stable, and a step that repeats the last one allocates nothing. Every
/// block has a twin of the same size (the gradient of the value); pages of a twin that is never
/// written cost nothing. Under AddressSanitizer memory that was taken back is poisoned.
class Arena {
 public:
  struct Block {
    std::byte* data;
    std::byte* twin;
  };

  Block allocate(std::size_t bytes) {
    // Small blocks are packed more tightly than a cache line, so that scalars stay cheap.
    const std::size_t align = bytes >= alignment ? alignment : 16;
    const std::size_t begin = (offset_ + align - 1) & ~(align - 1);
    if (begin + bytes > size_) [[unlikely]]
      return allocate_elsewhere(bytes);
    offset_ = begin + std::max(bytes, std::size_t{1});
    used_ += bytes;
    unpoison(begin, bytes);
    return {data_ + begin, data_ + begin + size_};
  }
  template <class T>
  T* allocate(std::size_t count) {
    return reinterpret_cast<T*>(allocate(count * sizeof(T)).data);
  }
  void rewind();
  /// Bytes handed out since the last rewind, twins not counted.
  std::size_t used() const { return used_; }
  /// Bytes held, twins not counted.
  std::size_t capacity() const { return capacity_; }

 private:
  struct Free {
    void operator()(std::byte* p) const;
  };
  struct Chunk {
    std::unique_ptr<std::byte[], Free> memory;
    std::size_t size;
  };
  static constexpr std::size_t alignment = 64;

  Block allocate_elsewhere(std::size_t bytes);
  void enter_chunk(std::size_t index);
#ifdef UNROLL_POISON
  void unpoison(std::size_t begin, std::size_t bytes) const;
#else
  void unpoison(std::size_t, std::size_t) const {}
#endif

  std::vector<Chunk> chunks_;
  std::byte* data_ = nullptr;  // of the chunk in use, whose size is size_
  std::size_t size_ = 0, offset_ = 0, current_ = 0, used_ = 0, capacity_ = 0;
};

}  // namespace unroll::inline UNROLL_ISA
