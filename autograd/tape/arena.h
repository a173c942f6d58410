#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include <unroll/autograd/tensor/error.h>

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

  Block allocate(std::size_t bytes);
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
  void next_chunk(std::size_t bytes);

  std::vector<Chunk> chunks_;
  std::size_t current_ = 0, offset_ = 0, used_ = 0, capacity_ = 0;
};

}  // namespace unroll::inline UNROLL_ISA
